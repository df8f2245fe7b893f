// The list of commands: name and summary for `picket --help`, and the module to import once the command is wanted.
//
// To add a command: write cli/NAME.ts with `export function command(): Command`, and add its line here.
// **Invariant:** a command's module is imported only when that command runs or its help is asked for, so that what
// one command needs (koffi, yaml, pino) never slows another down.
import type { Command } from 'commander'

export interface CommandEntry {
  readonly name: string
  /** The same sentence as the command's own description, in the same words. */
  readonly summary: string
  readonly load: () => Promise<{ command(): Command }>
}

export const COMMANDS: readonly CommandEntry[] = [
  { name: 'agent', summary: 'enforce NetworkPolicy on this node, until stopped', load: () => import('./agent.ts') },
  { name: 'operator', summary: 'publish which policies are enforced where, as custom resources, until stopped', load: () => import('./operator.ts') },
  { name: 'status', summary: 'which policies are enforced where, what is not and why; with --wait, wait until all are', load: () => import('./status.ts') },
  { name: 'explain', summary: 'may one call the other, which policy decides, and what came nearest to allowing it', load: () => import('./explain.ts') },
  { name: 'observe', summary: 'who talks to whom, what is denied and why: of this node, of a cluster or of a file', load: () => import('./observe.ts') },
  { name: 'cleanup', summary: "remove Picket's tables, interfaces and files from this node, and nothing else", load: () => import('./cleanup.ts') },
  {
    name: 'cni', summary: 'install or remove the pod-start gate: a CNI plugin that holds a pod back until its policies are in the kernel',
    load: () => import('./cni.ts'),
  },
  { name: 'check', summary: 'whether nodes can enforce, what stands in the way, and what policies will start to do', load: () => import('./check.ts') },
  { name: 'lab', summary: 'a cluster in network namespaces: try policies on real packets', load: () => import('./lab.ts') },
  { name: 'demo', summary: 'a small shop on three nodes: what policies do, on real packets', load: () => import('./demo.ts') },
  { name: 'version', summary: 'show the versions of picket, Node and nft', load: () => import('./version.ts') },
  { name: 'completion', summary: 'print the completion script for a shell', load: () => import('./completion.ts') },
]
