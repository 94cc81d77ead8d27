// Runs before the first paint, and is the only script that does: a stored choice of theme becomes
// `data-theme` on the root, or the page would flash in the other one. Without a choice nothing is
// set and CSS follows the system. The key is prefixed because project sites share one origin.
(function () {
  var root = document.documentElement;
  try {
    var theme = localStorage.getItem("strandline.theme");
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  } catch (e) {
    // Storage can be forbidden; the system's theme is then the right one.
  }
  // A relative base would be read anew against each address the router pushes.
  var base = document.querySelector("base");
  if (base) base.href = base.href;
  root.classList.add("js");
})();
