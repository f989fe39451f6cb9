// Removes a camera that is gone from the page.

import { cameraPath, isFailure, remove } from "../api.js";
import { button } from "../controls.js";
import { showConfirmation } from "../dialogs.js";
import { toast, toastFailure } from "../toasts.js";

const CONSEQUENCE =
  "It leaves the cameras of everybody, and comes back by itself as soon as it sends something. Its alerts stay.";

/** A button that asks, then forgets the camera and calls `done`; null for a person who may not. */
export function forgetButton(streamId, role, done) {
  if (role === "viewer") return null;
  const forget = async () => {
    try {
      await remove(cameraPath(streamId));
    } catch (error) {
      if (isFailure(error)) toastFailure(error);
      return true; // the message says why
    }
    toast(`Forgot ${streamId}`);
    done();
    return true;
  };
  const ask = () => showConfirmation(`Forget ${streamId}?`, CONSEQUENCE, forget);
  return button("Forget", ask, { class: "small", "aria-label": `Forget the camera ${streamId}` });
}
