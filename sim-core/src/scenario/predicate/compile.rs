//! From the tree of a predicate to a typed expression over probes.
//!
//! Every name is looked up here, once. All problems of a predicate are reported, each at its place
//! in the scenario text.

use super::parse::{Ast, Tree, Wrong, parse};
use super::vocabulary::{Meaning, Property, Vocabulary};
use super::{Comparison, Expr};
use crate::scenario::probe::{NodeSet, Type, Value};
use crate::scenario::reader::{At, Problem};
use crate::scenario::units;
use std::ops::Range;

/// An expression and its type.
type Typed = (Expr, Type);

/// Compiles a text to an expression of any type, or tells all that is wrong with it.
pub(crate) fn compile(text: &str, names: &Vocabulary<'_>) -> Result<Typed, Vec<Wrong>> {
    let tree = parse(text).map_err(|wrong| vec![wrong])?;
    let mut compiler = Compiler {
        names,
        wrong: Vec::new(),
    };
    match compiler.any(&tree) {
        Some(typed) if compiler.wrong.is_empty() => Ok(typed),
        _ => Err(compiler.wrong),
    }
}

/// Compiles a text that must be true or false.
pub(crate) fn compile_predicate(text: &str, names: &Vocabulary<'_>) -> Result<Expr, Vec<Wrong>> {
    match compile(text, names)? {
        (expr, Type::Bool) => Ok(expr),
        (_, other) => {
            let message = format!("this is {}, not true or false", describe(other));
            let problem = Problem::new("predicate-type", message).expected("a condition");
            let problem = match other {
                Type::Nodes => problem.help("compare its `.size`, or ask `b1 in …`"),
                Type::None => problem,
                _ => problem.help("compare it with something, e.g. `… == …`"),
            };
            Err(vec![(0..text.len(), problem)])
        }
    }
}

/// A type for people.
pub(crate) fn describe(of: Type) -> &'static str {
    match of {
        Type::Bool => "true or false",
        Type::Int => "a number",
        Type::Time => "a time",
        Type::Node => "a node",
        Type::Nodes => "a set of nodes",
        Type::Word(_) => "a word",
        Type::None => "none",
    }
}

struct Compiler<'v, 's> {
    names: &'v Vocabulary<'s>,
    wrong: Vec<Wrong>,
}

impl Compiler<'_, '_> {
    fn fail<T>(&mut self, span: &Range<usize>, problem: Problem) -> Option<T> {
        self.wrong.push((span.clone(), problem));
        None
    }

    fn mismatch<T>(&mut self, span: &Range<usize>, message: String, expected: &str) -> Option<T> {
        self.fail(
            span,
            Problem::new("predicate-type", message).expected(expected),
        )
    }

    fn any(&mut self, tree: &Tree) -> Option<Typed> {
        let constant = |value, of| Some((Expr::Const(value), of));
        match &tree.value {
            Ast::Or(all) => Some((Expr::Or(self.conditions(all)?), Type::Bool)),
            Ast::And(all) => Some((Expr::And(self.conditions(all)?), Type::Bool)),
            Ast::Not(one) => Some((Expr::Not(Box::new(self.condition(one)?)), Type::Bool)),
            Ast::Compare(how, left, right) => self.compare(*how, left, right),
            Ast::In(left, right) => self.inside(left, right),
            Ast::Path(path) => self.path(path),
            Ast::Set(items) => self.set(items),
            // A name in quotes is a name.
            Ast::Text(text) => self.path(&[At::new(text.clone(), tree.span.clone())]),
            Ast::Int(int) => constant(Value::Int(*int), Type::Int),
            Ast::Time(time) => constant(Value::Time(*time), Type::Time),
            Ast::Bool(flag) => constant(Value::Bool(*flag), Type::Bool),
            Ast::None => constant(Value::None, Type::None),
        }
    }

    fn condition(&mut self, tree: &Tree) -> Option<Expr> {
        let (expr, of) = self.any(tree)?;
        if of == Type::Bool {
            return Some(expr);
        }
        let message = format!("this is {}, not true or false", describe(of));
        self.mismatch(&tree.span, message, "a condition")
    }

    fn conditions(&mut self, all: &[Tree]) -> Option<Vec<Expr>> {
        // All of them are looked at, so that all problems are told.
        let compiled: Vec<Option<Expr>> = all.iter().map(|one| self.condition(one)).collect();
        compiled.into_iter().collect()
    }

    /// Both sides of a comparison. A bare word or a text takes its meaning from the other side.
    fn sides(&mut self, left: &Tree, right: &Tree) -> Option<(Typed, Typed)> {
        if bare_word(left).is_some() && bare_word(right).is_none() {
            let right_typed = self.any(right);
            let left = self.beside(left, right_typed.as_ref().map(|(_, of)| *of));
            return Some((left?, right_typed?));
        }
        let left = self.any(left);
        let right = self.beside(right, left.as_ref().map(|(_, of)| *of));
        Some((left?, right?))
    }

    fn beside(&mut self, tree: &Tree, other: Option<Type>) -> Option<Typed> {
        match (bare_word(tree), other) {
            (Some(word), Some(Type::Word(words))) => self.word(word, words, &tree.span),
            _ => self.any(tree),
        }
    }

    fn word(
        &mut self,
        word: &str,
        words: &'static [&'static str],
        span: &Range<usize>,
    ) -> Option<Typed> {
        match words.iter().position(|w| *w == word) {
            Some(at) => Some((Expr::Const(Value::Word(at as u8)), Type::Word(words))),
            None => {
                let message = format!("`{}` is none of the words here", units::shorten(word));
                let problem = Problem::new("unknown-name", message);
                self.fail(span, problem.near(word, words.iter().copied()))
            }
        }
    }

    fn compare(&mut self, how: Comparison, left: &Tree, right: &Tree) -> Option<Typed> {
        let span = left.span.start..right.span.end;
        let ((l, left_type), (r, right_type)) = self.sides(left, right)?;
        let equality = matches!(how, Comparison::Equal | Comparison::NotEqual);
        let ordered = matches!(
            (left_type, right_type),
            (Type::Int, Type::Int) | (Type::Time, Type::Time)
        );
        let optional = |of| !matches!(of, Type::Bool | Type::Nodes);
        let comparable = left_type == right_type
            || (left_type == Type::None && optional(right_type))
            || (right_type == Type::None && optional(left_type));
        if (equality && comparable) || ordered {
            return Some((Expr::Compare(how, Box::new(l), Box::new(r)), Type::Bool));
        }
        let (a, b) = (describe(left_type), describe(right_type));
        let problem = match (left_type, right_type) {
            (Type::Time, Type::Int) | (Type::Int, Type::Time) => {
                Problem::new("predicate-type", format!("{a} is compared with {b}"))
                    .help("write a time with its unit, e.g. `5s`")
            }
            (Type::Node, Type::Nodes) | (Type::Nodes, Type::Node) => {
                Problem::new("predicate-type", format!("{a} is compared with {b}"))
                    .help("ask whether a set holds a node with `in`")
            }
            (Type::Nodes, Type::Int) | (Type::Int, Type::Nodes) => {
                Problem::new("predicate-type", format!("{a} is compared with {b}"))
                    .help("the number of its nodes is `.size`")
            }
            _ if left_type == right_type => {
                Problem::new("predicate-type", format!("{a} has no order")).expected("`==` or `!=`")
            }
            _ => Problem::new("predicate-type", format!("{a} is compared with {b}")),
        };
        self.fail(&span, problem)
    }

    fn inside(&mut self, left: &Tree, right: &Tree) -> Option<Typed> {
        if let Ast::Set(items) = &right.value {
            return self.one_of(left, items);
        }
        let item = self.any(left);
        let (set, set_type) = self.any(right)?;
        if set_type != Type::Nodes {
            let message = format!("this is {}", describe(set_type));
            return self.mismatch(&right.span, message, "a set of nodes, or `{…}`");
        }
        let (item, item_type) = item?;
        if item_type != Type::Node {
            let message = format!("this is {}", describe(item_type));
            return self.mismatch(&left.span, message, "a node");
        }
        Some((Expr::In(Box::new(item), Box::new(set)), Type::Bool))
    }

    fn one_of(&mut self, left: &Tree, items: &[Tree]) -> Option<Typed> {
        let (item, item_type) = self.any(left)?;
        let mut values = Vec::new();
        for tree in items {
            match self.beside(tree, Some(item_type)) {
                Some((Expr::Const(value), of)) if of == item_type => values.push(value),
                Some((_, of)) => {
                    let message = format!("this is {}", describe(of));
                    let expected = format!("{} that is known beforehand", describe(item_type));
                    self.mismatch::<()>(&tree.span, message, &expected);
                }
                None => {}
            }
        }
        Some((Expr::OneOf(Box::new(item), values), Type::Bool))
    }

    fn set(&mut self, items: &[Tree]) -> Option<Typed> {
        let mut set = NodeSet::default();
        for tree in items {
            match self.any(tree)? {
                (Expr::Const(Value::Node(node)), _) => set.insert(node),
                (_, of) => {
                    let message = format!("this is {}", describe(of));
                    return self.mismatch(&tree.span, message, "the name of a node");
                }
            }
        }
        Some((Expr::Const(Value::Nodes(set)), Type::Nodes))
    }

    fn path(&mut self, path: &[At<String>]) -> Option<Typed> {
        let (first, rest) = path.split_first()?;
        let Some(root) = self.names.roots.get(&first.value) else {
            let message = format!("there is no `{}`", units::shorten(&first.value));
            let known = self.names.roots.keys().map(String::as_str);
            let problem = Problem::new("unknown-name", message).near(&first.value, known);
            return self.fail(&first.span, problem);
        };
        let end = path.last().map_or(first.span.end, |last| last.span.end);
        self.follow(root, rest, &first.value, first.span.start..end)
    }

    /// Follows the rest of a path from a name on.
    fn follow(
        &mut self,
        from: &Property<'_>,
        rest: &[At<String>],
        so_far: &str,
        span: Range<usize>,
    ) -> Option<Typed> {
        let Some((next, rest)) = rest.split_first() else {
            let Some(meaning) = from.meaning else {
                let message = format!("`{so_far}` is not a value by itself");
                let inside = from.inside.as_ref().map(|f| f()).unwrap_or_default();
                let problem = Problem::new("unknown-name", message);
                let names = inside.iter().map(|p| p.name.as_str());
                return self.fail(&span, problem.near("", names));
            };
            return Some(typed(meaning));
        };
        let whole = format!("{so_far}.{}", units::shorten(&next.value));
        let inside = from.inside.as_ref().map(|f| f()).unwrap_or_default();
        if let Some(found) = inside.iter().find(|p| p.name == next.value) {
            return self.follow(found, rest, &whole, span);
        }
        let of = from.meaning.map(Meaning::value_type);
        if let (Some(meaning), Some(Type::Nodes), "size", []) =
            (from.meaning, of, next.value.as_str(), rest)
        {
            return Some((Expr::Size(Box::new(typed(meaning).0)), Type::Int));
        }
        let mut names: Vec<&str> = inside.iter().map(|p| p.name.as_str()).collect();
        if of == Some(Type::Nodes) {
            names.push("size");
        }
        let message = if names.is_empty() {
            format!("nothing can follow `{so_far}`")
        } else {
            format!(
                "there is no `{}` in `{so_far}`",
                units::shorten(&next.value)
            )
        };
        let problem = Problem::new("unknown-name", message).near(&next.value, names);
        self.fail(&next.span, problem)
    }
}

fn typed(meaning: Meaning) -> Typed {
    match meaning {
        Meaning::Probe(probe, of) => (Expr::Probe(probe), of),
        Meaning::Const(value, of) => (Expr::Const(value), of),
    }
}

/// A text or a path of one name.
fn bare_word(tree: &Tree) -> Option<&str> {
    match &tree.value {
        Ast::Text(text) => Some(text),
        Ast::Path(path) => match path.as_slice() {
            [only] => Some(&only.value),
            _ => None,
        },
        _ => None,
    }
}
