// The scenario editor: CodeMirror with TOML colours, the engine's completions and the engine's
// problems at their place. It knows nothing of scenarios itself. `editor.rs` starts it.
import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { bracketMatching, HighlightStyle, StreamLanguage, syntaxHighlighting } from "@codemirror/language";
import { toml } from "@codemirror/legacy-modes/mode/toml";
import { lintGutter, lintKeymap, setDiagnostics } from "@codemirror/lint";
import { highlightSelectionMatches, searchKeymap } from "@codemirror/search";
import { EditorState } from "@codemirror/state";
import {
  drawSelection,
  EditorView,
  highlightActiveLine,
  highlightActiveLineGutter,
  keymap,
  lineNumbers,
} from "@codemirror/view";
import { tags } from "@lezer/highlight";

const COLOURS = HighlightStyle.define([
  { tag: tags.comment, color: "var(--muted)", fontStyle: "italic" },
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "var(--sea)" },
  { tag: tags.string, color: "var(--proven)" },
  { tag: [tags.number, tags.bool, tags.atom], color: "var(--sand-ink)" },
  { tag: tags.bracket, color: "var(--muted)" },
]);

const LOOK = EditorView.theme({
  "&": { blockSize: "100%", backgroundColor: "var(--panel)", color: "var(--ink)", fontSize: "0.84rem" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--font-mono)", lineHeight: "21px" },
  ".cm-content": { caretColor: "var(--ink)", paddingBlockEnd: "1.5rem" },
  ".cm-cursor": { borderInlineStartColor: "var(--ink)" },
  ".cm-gutters": { backgroundColor: "var(--sunken)", color: "var(--muted)", border: "0" },
  ".cm-activeLine": { backgroundColor: "color-mix(in srgb, var(--sea) 7%, transparent)" },
  ".cm-activeLineGutter": { backgroundColor: "color-mix(in srgb, var(--sea) 14%, transparent)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    backgroundColor: "var(--sea-soft)",
  },
  ".cm-tooltip": {
    backgroundColor: "var(--panel)",
    color: "var(--ink)",
    border: "1px solid var(--edge)",
    borderRadius: "var(--radius-s)",
    fontFamily: "var(--font-text)",
  },
  ".cm-tooltip.cm-tooltip-autocomplete > ul": { fontFamily: "var(--font-mono)", maxBlockSize: "14rem" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": {
    backgroundColor: "var(--sea)",
    color: "var(--on-sea)",
  },
  ".cm-completionInfo": { maxInlineSize: "22rem", padding: "0.4rem 0.6rem" },
  ".cm-panels": { backgroundColor: "var(--sunken)", color: "var(--ink)" },
});

const KINDS = { table: "namespace", key: "property", value: "constant", node: "class", name: "variable" };

/** Completions of the engine, which counts in bytes of UTF-8; the editor counts in UTF-16. */
function source(complete) {
  const bytes = new TextEncoder();
  return (context) => {
    const text = context.state.doc.toString();
    const before = context.state.sliceDoc(0, context.pos);
    const found = JSON.parse(complete(text, bytes.encode(before).length));
    if (found.length === 0) return null;
    const utf8 = bytes.encode(text);
    const from_utf8 = new TextDecoder();
    const at = (byte) => from_utf8.decode(utf8.subarray(0, byte)).length;
    const [start, end] = [at(found[0].replace.start), at(found[0].replace.end)];
    if (!context.explicit && start === context.pos) return null;
    return {
      from: start,
      to: Math.max(end, context.pos),
      options: found.map((item, rank) => ({
        label: item.label,
        info: item.doc || undefined,
        type: KINDS[item.kind],
        apply: item.insert,
        boost: -rank / found.length,
      })),
    };
  };
}

/** Puts an editor into `parent`. `options`: text, label, describedBy, changed(text), complete(text, byte). */
export function create(parent, options) {
  let told = false; // a text that was put in from outside is no change of the learner's
  const view = new EditorView({
    parent,
    state: EditorState.create({
      doc: options.text,
      extensions: [
        lineNumbers(),
        lintGutter(),
        highlightActiveLine(),
        highlightActiveLineGutter(),
        highlightSelectionMatches(),
        history(),
        drawSelection(),
        bracketMatching(),
        closeBrackets(),
        autocompletion({ override: [source(options.complete)] }),
        StreamLanguage.define(toml),
        syntaxHighlighting(COLOURS),
        LOOK,
        EditorView.scrollMargins.of(() => ({ bottom: 24 })),
        // The Tab key stays with the page: who works by keyboard must be able to leave.
        keymap.of([
          ...closeBracketsKeymap,
          ...defaultKeymap,
          ...searchKeymap,
          ...historyKeymap,
          ...completionKeymap,
          ...lintKeymap,
        ]),
        EditorView.contentAttributes.of({
          "aria-label": options.label,
          "aria-describedby": options.describedBy,
          "data-testid": "script",
        }),
        EditorView.updateListener.of((update) => {
          if (update.docChanged && !told) options.changed(update.state.doc.toString());
        }),
      ],
    }),
  });
  return {
    setText(text) {
      if (text === view.state.doc.toString()) return;
      told = true;
      view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } });
      told = false;
    },
    /** JSON of `{from, to, severity, message}`, in UTF-16. */
    setProblems(json) {
      const length = view.state.doc.length;
      const problems = JSON.parse(json).map((problem) => ({
        ...problem,
        from: Math.min(problem.from, length),
        to: Math.min(Math.max(problem.to, problem.from), length),
      }));
      view.dispatch(setDiagnostics(view.state, problems));
    },
    show(from, to) {
      const length = view.state.doc.length;
      const selection = { anchor: Math.min(from, length), head: Math.min(to, length) };
      view.dispatch({ selection, effects: EditorView.scrollIntoView(selection.anchor, { y: "center" }) });
      view.focus();
    },
    focus: () => view.focus(),
    destroy: () => view.destroy(),
  };
}
