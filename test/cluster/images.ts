// The images of the cluster's own pods: one file each, made of a static program without any builder; and their import.
//
// **Invariant:** an archive in the cache is whole, and named by what is in it.
import { createHash } from 'node:crypto'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { CACHE } from './layout.ts'
import { mustRun, type Room } from './processes.ts'
import type { ProgramName, Programs } from './programs.ts'

/** What runs in the tests' pods, and in every sandbox. */
export const POD_IMAGE = 'picket.dev/pod:1'
export const COREDNS_IMAGE = 'picket.dev/coredns:1'

/** Paths of the archives of the images above. */
export async function ensureImages(programs: Programs): Promise<readonly string[]> {
  return Promise.all([imageOf(programs, 'pod', POD_IMAGE, ['/pod'], ['pause']), imageOf(programs, 'coredns', COREDNS_IMAGE, ['/coredns'], [])])
}

async function imageOf(programs: Programs, program: ProgramName, name: string, entry: readonly string[], args: readonly string[]): Promise<string> {
  const content = readFileSync(programs.of(program))
  const key = createHash('sha256').update(content).update(JSON.stringify([name, entry, args])).digest('hex').slice(0, 16)
  const archive = path.join(CACHE, 'images', `${program}-${key}.tar`)
  if (existsSync(archive)) return archive
  mkdirSync(path.dirname(archive), { recursive: true })
  const folder = mkdtempSync(path.join(os.tmpdir(), 'picket-image-'))
  try {
    mkdirSync(path.join(folder, 'root'))
    copyFileSync(programs.of(program), path.join(folder, 'root', program))
    await tar(path.join(folder, 'layer.tar'), path.join(folder, 'root'), [program])
    const layer = createHash('sha256').update(readFileSync(path.join(folder, 'layer.tar'))).digest('hex')
    const architecture = process.arch === 'x64' ? 'amd64' : process.arch
    const config = { architecture, os: 'linux', config: { Entrypoint: entry, Cmd: args }, rootfs: { type: 'layers', diff_ids: [`sha256:${layer}`] } }
    writeFileSync(path.join(folder, 'config.json'), JSON.stringify(config))
    writeFileSync(path.join(folder, 'manifest.json'), JSON.stringify([{ Config: 'config.json', RepoTags: [name], Layers: ['layer.tar'] }]))
    const making = `${archive}.${process.pid}`
    await tar(making, folder, ['manifest.json', 'config.json', 'layer.tar'])
    renameSync(making, archive)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  return archive
}

async function tar(archive: string, folder: string, names: readonly string[]): Promise<void> {
  await mustRun(null, ['tar', '--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner', '-cf', archive, '-C', folder, ...names])
}

/** Into one node's containerd. */
export async function importImage(node: Room, archive: string): Promise<void> {
  await mustRun(node, ['ctr', '--address', '/run/containerd/containerd.sock', '-n', 'k8s.io', 'images', 'import', '--no-unpack=false', archive], { timeout: 180_000 })
}
