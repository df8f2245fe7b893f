// One full compile in a process of its own, for bench `compile`: prints the most memory that it took, in bytes.
//
// **Invariant:** nothing else runs here, so that the peak is that of one cluster: rows, indexes, plan and table.
import { keepHeapSmall } from '../../src/lib/heap.ts'
import { SIZE, fill, newTurns } from './compile.ts'
import { bigCluster } from '../support/big-cluster.ts'

keepHeapSmall()
fill(newTurns(), bigCluster(SIZE))
process.stdout.write(`${process.resourceUsage().maxRSS * 1024}\n`)
