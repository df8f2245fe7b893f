// The image of this clone, and nginx's, built by buildah from Dockerfiles on a Debian that debootstrap makes here.
//
// Sources -> an archive in the cache, named by what it was built of. Trust in further authorities (of a proxy, say) is
// taken over from this machine into the base, and so into the build. **Invariant:** an archive in the cache is whole.
import { createHash } from 'node:crypto'
import { cpSync, existsSync, globSync, mkdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs'
import path from 'node:path'
import { PicketError } from '../../src/lib/errors.ts'
import { CACHE } from './layout.ts'
import { mustRun, onPath, runIn } from './processes.ts'
import { step, stepOf, type Say } from './progress.ts'

const root = path.resolve(import.meta.dirname, '../..')
const NGINX = path.join(import.meta.dirname, 'programs/nginx')
export const NGINX_IMAGE = 'picket.dev/nginx:1'
const STORAGE = path.join(CACHE, 'buildah')
const BASE = 'localhost/picket-base'
const AUTHORITIES = '/usr/local/share/ca-certificates'
/** A month: then Debian's packages are fetched anew. */
const BASE_LIVES_MS = 30 * 86_400_000

export interface BuiltImage {
  /** Path of a docker archive. */
  readonly archive: string
  /** As the manifests name it. */
  readonly name: string
}

export async function buildImage(say: Say): Promise<BuiltImage> {
  const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as { readonly version: string }
  const files = ['Dockerfile', 'package.json', 'package-lock.json', 'tsconfig.json', 'deploy/image/**', 'src/**/*.{ts,mjs,json,go,mod,c}']
  return build(say, { title: 'the image', name: `picket.dev/picket:${version}`, archive: `picket-${digest(root, files)}`, args: ['--build-arg', `VERSION=${version}`, root] })
}

/** Debian's nginx, for pods that bring their own configuration. */
export async function buildNginx(say: Say): Promise<BuiltImage> {
  return build(say, { title: 'an image of nginx', name: NGINX_IMAGE, archive: `nginx-${digest(NGINX, ['**'])}`, args: [NGINX] })
}

interface Recipe {
  /** For progress and errors: `building TITLE`. */
  readonly title: string
  readonly name: string
  /** Name of the archive in the cache, which says what it was built of. */
  readonly archive: string
  /** The folder of the Dockerfile last. */
  readonly args: readonly string[]
}

async function build(say: Say, recipe: Recipe): Promise<BuiltImage> {
  const { title, name, args } = recipe
  const archive = path.join(CACHE, 'images', `${recipe.archive}.tar`)
  if (existsSync(archive)) return { archive, name }
  for (const program of ['buildah', 'debootstrap']) {
    if (!onPath(program)) throw new PicketError('ClusterFailed', `${program} is missing here, which ${title} is built with; on Debian: apt-get install buildah debootstrap`)
  }
  mkdirSync(path.dirname(archive), { recursive: true })
  await ensureBase(say)
  await stepOf(say, `building ${title}`, [...buildah(), 'build', '--isolation', 'chroot', '--network', 'host', '--layers', '--pull-never', '--build-arg', `BASE=${BASE}`, '-t', name, ...args])
  const making = `${archive}.${process.pid}`
  try {
    await stepOf(say, 'writing it down', [...buildah(), 'push', name, `docker-archive:${making}:${name}`])
    renameSync(making, archive)
  } finally {
    rmSync(making, { force: true })
  }
  return { archive, name }
}

function buildah(): readonly string[] {
  return ['buildah', '--root', path.join(STORAGE, 'storage'), '--runroot', path.join(STORAGE, 'run')]
}

/** Of everything that can change what an image is: the files of a folder that these patterns name. */
function digest(folder: string, patterns: readonly string[]): string {
  const hash = createHash('sha256')
  for (const file of globSync([...patterns], { cwd: folder }).sort()) {
    if (statSync(path.join(folder, file)).isFile()) hash.update(`${file}\0`).update(readFileSync(path.join(folder, file)))
  }
  return hash.digest('hex').slice(0, 16)
}

/** A small Debian as an image; made here, since there may be no registry to fetch one from. */
async function ensureBase(say: Say): Promise<void> {
  const { status, stdout } = await runIn(null, [...buildah(), 'inspect', '--type', 'image', '--format', '{{.Docker.Created}}', BASE])
  if (status === 0 && Date.now() - Date.parse(stdout.replace(/ \+0000 UTC$/, 'Z').replace(' ', 'T')) < BASE_LIVES_MS) return
  const folder = path.join(CACHE, `debian.${process.pid}`)
  try {
    await stepOf(say, 'making a Debian to build on', ['debootstrap', '--variant=minbase', 'bookworm', folder])
    if (existsSync(AUTHORITIES)) cpSync(AUTHORITIES, path.join(folder, AUTHORITIES), { recursive: true })
    for (const file of globSync(path.join(folder, 'var/cache/apt/archives/*.deb'))) rmSync(file)
    await step(say, 'taking it as an image', async () => {
      const container = (await mustRun(null, [...buildah(), 'from', 'scratch'])).trim()
      await mustRun(null, [...buildah(), 'add', container, folder, '/'], { timeout: 180_000 })
      // What the build's npm trusts; Debian's own knows the system's store only when told.
      await mustRun(null, [...buildah(), 'config', '--env', 'NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt', container])
      await mustRun(null, [...buildah(), 'commit', '--rm', container, BASE], { timeout: 180_000 })
    })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
