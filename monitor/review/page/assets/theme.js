// Light or dark, before anything is drawn: what the person chose, else what the system says.
// A plain script on purpose: a module would run after the first paint.
const chosenTheme = localStorage.getItem("theme");
if (chosenTheme === "light" || chosenTheme === "dark") document.documentElement.dataset.theme = chosenTheme;
