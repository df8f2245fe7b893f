// `picket demo`: a story on real packets, scene by scene, in a lab of its own.
//
// Opens the stage, plays the scenes of demo-scenes.ts, and ends with what to try next. Status 0: every scene showed what
// it says; 1: one did not. **Invariant:** whatever ends it (the end, an error, a signal, a reader that left), agents,
// namespaces and folders are gone before the process is, and it says so.
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { Command, Option } from 'commander'
import { openKernel } from '../kernel/open.ts'
import { labOwner } from '../lab/leftovers.ts'
import { placesOf, type LabPlaces } from '../lab/places.ts'
import { endLeftovers } from '../lab/remains.ts'
import { PicketError } from '../lib/errors.ts'
import { SCENES, type Scene, type SceneReport } from './demo-scenes.ts'
import { Stage } from './demo-stage.ts'
import { PLAIN_STYLE, styleOf } from './demo-style.ts'
import { Teller } from './demo-teller.ts'
import { progressOnStderr } from './lab-options.ts'
import { outputOption } from './options.ts'

interface DemoOptions {
  readonly output: string
  readonly name: string
  readonly file: string
}

type Ended =
  /** Whether each scene showed what it says; fewer than there are where one could not be played to its end. */
  | { readonly kind: 'played'; readonly shown: readonly boolean[] }
  | { readonly kind: 'error'; readonly error: unknown }
  | { readonly kind: 'signal'; readonly signal: NodeJS.Signals }
  /** Whoever read stdout has left. */
  | { readonly kind: 'no-reader' }

export function command(): Command {
  return new Command('demo')
    .description('a small shop on three nodes: what policies do, on real packets')
    .addOption(outputOption('text', 'json'))
    .addOption(new Option('-f, --file <dir>', "folder with the shop's manifests").default(exampleFolder()).hideHelp())
    .addOption(new Option('--name <name>', 'name of its lab').default('demo').hideHelp())
    .addHelpText('after', '\nNeeds root; takes under 30 s and cleans up behind itself. Status 1: a scene did not show what it says.')
    .action((options: DemoOptions) => demo(options))
}

/** In a clone, and beside the bundle. */
function exampleFolder(): string {
  const up = import.meta.url.endsWith('.ts') ? '../../' : '../'
  return fileURLToPath(new URL(`${up}deploy/examples/shop`, import.meta.url))
}

async function demo({ output, name, file }: DemoOptions): Promise<void> {
  const json = output === 'json'
  const teller = new Teller(json ? PLAIN_STYLE : styleOf(process.stdout), json ? 'json' : 'text')
  const begun = performance.now()
  await requireAll(file)
  const places = placesOf(name)
  const owner = labOwner(places.prefix)
  if (owner !== null) throw new PicketError('LabInUse', `a demo is running already (process ${owner}); let it end first`)
  await endLeftovers(places)
  const interruption = listen()
  teller.opening()
  const stage = Stage.open({ places, manifests: path.resolve(file), onProgress: json ? progressOnStderr() : (text) => teller.progress(text) })
  const story = stage.then((open) => play(open, teller)).catch((error: unknown): Ended => ({ kind: 'error', error }))
  const ended = await Promise.race([story, interruption])
  // Where it was interrupted the story goes on until its stage is gone, unheard.
  teller.mute()
  teller.aside(ended.kind === 'signal' ? `\n${ended.signal}: cleaning up` : '')
  await cleanUp(places, stage)
  teller.aside('Cleaned up: agents, network namespaces and folders of the demo are gone.')
  end(ended, performance.now() - begun, teller)
}

/** The last words and the exit status. Throws what the story threw. */
function end(ended: Ended, ms: number, teller: Teller): void {
  switch (ended.kind) {
    case 'error':
      throw ended.error
    case 'signal':
      process.exitCode = 128 + os.constants.signals[ended.signal]
      return
    case 'no-reader':
      return
    case 'played': {
      const shown = ended.shown.filter(Boolean).length
      teller.closing({ scenes: SCENES.length, shown, seconds: Math.round(ms / 100) / 10 })
      if (shown < SCENES.length) process.exitCode = 1
    }
  }
}

/** Plays the scenes in order, until one cannot be played to its end. */
async function play(stage: Stage, teller: Teller): Promise<Ended> {
  const shown: boolean[] = []
  for (const [index, scene] of SCENES.entries()) {
    teller.scene(index + 1, scene.title)
    const started = performance.now()
    const { report, broken } = await playOne(scene, stage, teller)
    teller.verdict(scene.id, scene.title, report, performance.now() - started)
    shown.push(report.faults.length === 0)
    if (broken) break
  }
  return { kind: 'played', shown }
}

/** A scene that cannot go on has not shown what it says, and what comes after it would begin with another shop. */
async function playOne(scene: Scene, stage: Stage, teller: Teller): Promise<{ readonly report: SceneReport; readonly broken: boolean }> {
  try {
    return { report: await scene.play(stage, teller), broken: false }
  } catch (error) {
    if (!(error instanceof PicketError)) throw error
    return { report: { facts: {}, summary: '', faults: [error.message] }, broken: true }
  }
}

async function cleanUp(places: LabPlaces, stage: Promise<Stage>): Promise<void> {
  try {
    // What is being made is finished first: only then is it known what there is.
    const open = await stage.catch(() => null)
    await open?.close()
  } finally {
    await endLeftovers(places)
    removeIfEmpty(path.dirname(places.folder))
  }
}

/** /run/picket, where nothing else of ours is in it. */
function removeIfEmpty(folder: string): void {
  try {
    fs.rmdirSync(folder)
  } catch {
    // Something is in it.
  }
}

/** Resolves once with whatever would end the process before its end; main.ts would not wait for the cleaning up. */
function listen(): Promise<Ended> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve({ kind: 'signal', signal }))
    for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
      process.removeAllListeners(event)
      process.on(event, (error: unknown) => resolve({ kind: 'error', error }))
    }
    process.stdout.removeAllListeners('error')
    process.stdout.on('error', () => resolve({ kind: 'no-reader' }))
  })
}

/** Throws a PicketError, one line that says what to do, where something is missing. */
async function requireAll(file: string): Promise<void> {
  if (process.getuid?.() !== 0) throw new PicketError('NotRoot', 'the demo makes network namespaces, which takes root: run it with sudo')
  if (!fs.existsSync(path.join(file, 'pods.yaml'))) {
    throw new PicketError('InvalidFolder', `${file}: expected the manifests of the shop (pods.yaml, policies/); run the demo in a clone`)
  }
  const kernel = await openKernel({ access: 'auto' })
  await kernel.close()
}

