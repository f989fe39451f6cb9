// What scores are called, what they are, and whether gradients are in them.

const PEDESTRIAN = "pedestrian_"; // begins the names of the scores of pedestrians

/** Reads the names that come with the page. */
export async function readCatalog() {
  const response = await fetch("/assets/score_names.json");
  return new ScoreCatalog(response.ok ? await response.json() : {});
}

class ScoreCatalog {
  #names;
  #families = new Map();

  constructor(names) {
    this.#names = names;
  }

  /** A short name for people. */
  label(name) {
    const known = this.#names[bare(name)];
    const label = known ? known.label : name.replaceAll("_", " ");
    return name.startsWith(PEDESTRIAN) ? `${label}, people` : label;
  }

  /** What it measures, in one line. */
  what(name) {
    return this.#names[bare(name)]?.what ?? "";
  }

  /** `gradient`, `baseline` or `unknown`; what the server says of a name is kept. */
  family(name, said = null) {
    if (said) this.#families.set(name, said);
    return this.#families.get(name) ?? GUESSES.find(([word]) => name.includes(word))?.[1] ?? "baseline";
  }
}

const GUESSES = [["grad", "gradient"]]; // for the moment before the server has said it

function bare(name) {
  return name.startsWith(PEDESTRIAN) ? name.slice(PEDESTRIAN.length) : name;
}
