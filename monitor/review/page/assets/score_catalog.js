// Names and descriptions of scores, and the family each belongs to.

/** The families of scores in the order in which they are shown. */
export const FAMILIES = { gradient: "Gradient scores", baseline: "Plain baselines", unknown: "Other scores" };

const PEDESTRIAN = "pedestrian_"; // prefix of the scores of pedestrians

/** Loads the names that are shipped with the page. */
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

  /** A short display name. */
  label(name) {
    const label = this.#entry(name)?.label ?? name.replaceAll("_", " ");
    return name.startsWith(PEDESTRIAN) ? `${label}, people` : label;
  }

  /** What the score measures, in one line. */
  what(name) {
    return this.#entry(name)?.what ?? "";
  }

  /** `gradient`, `baseline` or `unknown`. A family given by the server is remembered; until then the name decides. */
  family(name, given = null) {
    if (given) this.#families.set(name, given);
    return this.#families.get(name) ?? (name.includes("grad") ? "gradient" : "baseline");
  }

  #entry(name) {
    return this.#names[name.startsWith(PEDESTRIAN) ? name.slice(PEDESTRIAN.length) : name];
  }
}
