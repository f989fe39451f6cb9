// What sources and workers report about a camera, in words for the person on shift.

import { humanize } from "../format.js";

const WORDS = {
  disconnected: ["Disconnected", "The connection to the camera was lost, or cannot be made."],
  unauthorized: ["Refused", "The camera refuses the user name or the password."],
  no_frames: ["No pictures", "The camera is connected, but sends no picture."],
  frozen: ["Frozen picture", "All pictures show the same."],
  black: ["Black picture", "Nothing can be seen: the picture is too dark."],
  overexposed: ["Overexposed picture", "Nothing can be seen: the picture is too bright."],
  reconnected: ["Reconnected", "The connection to the camera is back."],
  size_changed: ["New picture size", "Pictures have another size from now on."],
  clock_jump: ["Clock jumped", "The times of the pictures leaped, or ran backwards."],
  clock_stopped: ["Clock stopped", "The times of the pictures do not advance. Frames are judged by their arrival."],
  gap: ["Gap", "Pictures are missing in between."],
  no_signal: ["No signal", "Black, one color, frozen or a slate: nothing to calibrate on, so no alert can be raised yet."],
  frames_lost: ["Frames lost", "Frames were published, but never reached a worker: nobody has judged them."],
  other_run: ["Second source", "Two sources use the id of this camera. Only the frames of the newest are judged."],
  judging_failed: ["Judging failed", "A frame could not be judged. The camera's state begins anew; judging goes on."],
  ended: ["Ended", "The source has ended."],
};

/** A disturbance in a word or two. */
export function titleOf({ disturbance }) {
  return WORDS[disturbance]?.[0] ?? humanize(disturbance);
}

/** What a disturbance means, as a sentence; "" for one of a later version. */
export function meaningOf({ disturbance }) {
  return WORDS[disturbance]?.[1] ?? "";
}

/** Who noticed it. */
export function reporterOf({ reporter }) {
  return reporter === "worker" ? "noticed by the worker" : "reported by the source";
}
