// The folder that the lab's agents watch: what it holds is replaced as a whole, file by file, each by a rename.
//
// Cluster -> files. **Invariant:** a reader never sees half a file; a file whose text is the same is not touched, so
// that an agent sees what changed and nothing else.
import fs from 'node:fs'
import path from 'node:path'

export class AgentsFolder {
  readonly dir: string
  readonly #staging: string
  #held: ReadonlyMap<string, string> = new Map()
  #serial = 0

  /** Makes `dir` and, beside it, a folder for files that are being written; both are empty then. */
  constructor(dir: string) {
    this.dir = dir
    this.#staging = `${dir}.writing`
    for (const one of [this.dir, this.#staging]) {
      fs.rmSync(one, { recursive: true, force: true })
      fs.mkdirSync(one, { recursive: true, mode: 0o700 })
    }
  }

  /** Makes the folder hold these files (path within it -> text) and no others; how many files changed. */
  write(files: ReadonlyMap<string, string>): number {
    const staged: [string, string][] = []
    for (const [name, text] of files) {
      if (this.#held.get(name) === text) continue
      const from = path.join(this.#staging, String(this.#serial++))
      fs.writeFileSync(from, text)
      staged.push([from, path.join(this.dir, name)])
    }
    // All renames and removals in one go, after all writing: a reader that waits a moment for quiet sees one change.
    const gone = [...this.#held.keys()].filter((name) => !files.has(name))
    for (const name of gone) fs.rmSync(path.join(this.dir, name), { force: true })
    for (const [from, to] of staged) {
      fs.mkdirSync(path.dirname(to), { recursive: true })
      fs.renameSync(from, to)
    }
    this.#held = new Map(files)
    return staged.length + gone.length
  }

  remove(): void {
    fs.rmSync(this.dir, { recursive: true, force: true })
    fs.rmSync(this.#staging, { recursive: true, force: true })
  }
}
