// Applies the chosen theme, if any, before the first paint.
// A classic script on purpose: a module would run after the first paint.
const chosenTheme = localStorage.getItem("theme");
if (chosenTheme === "light" || chosenTheme === "dark") document.documentElement.dataset.theme = chosenTheme;
