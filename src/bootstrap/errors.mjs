// What stops the installation, told in one line.
//
// lib/errors.ts cannot be imported here: the Node that runs these files may not read TypeScript.
// **Invariant:** the message says what is missing and what to do about it.
export class InstallError extends Error {}

/** Progress of an installation, for people: always stderr, since stdout belongs to the program that runs next. */
export function say(text) {
  process.stderr.write(`picket: ${text}\n`)
}
