// What a case of Services is, once it has been read: a node's view of Services, and flows through them; or which endpoints count.
//
// Made by service-cases.ts and topology-cases.ts. **Invariant:** frozen data, no functions; what an API server would hold is kept as an object of
// the API, readable or not: what is wrong with it is the agent's to say.
import type { Address, Cidr } from '../model/ip.ts'
import type { Protocol } from '../model/objects.ts'
import type { JsonObject } from './case-fields.ts'

/** This node and its cluster. */
export interface ScenarioEnv {
  readonly nodeName: string
  /** Null: none. */
  readonly zone: string | null
  /** The node's primary address comes first. */
  readonly nodeIps: readonly Address[]
  /** Null: as the agent has it by default. */
  readonly nodePortAddresses: readonly string[] | null
  /** Of all pods, on whichever node. */
  readonly podCidrs: readonly Cidr[]
  readonly serviceCidrs: readonly Cidr[]
  readonly masqueradeAll: boolean
}

export interface ScenarioPort {
  readonly protocol: Protocol
  readonly port: number
  /** Null: none. */
  readonly nodePort: number | null
}

export interface ScenarioService {
  readonly namespace: string
  readonly name: string
  /** Those that can be read. */
  readonly ports: readonly ScenarioPort[]
  /** One client comes to one endpoint again and again. */
  readonly affinity: boolean
  /** Kind Service, as an API server would hold it, without UID. */
  readonly object: JsonObject
}

export interface ScenarioEndpoint {
  readonly address: Address
  /** Null where it is not said. */
  readonly node: string | null
}

export interface ScenarioSlice {
  readonly namespace: string
  readonly service: string
  readonly name: string
  readonly ports: readonly Omit<ScenarioPort, 'nodePort'>[]
  /** Those whose address can be read. */
  readonly endpoints: readonly ScenarioEndpoint[]
  /** Kind EndpointSlice, as an API server would hold it, without UID. */
  readonly object: JsonObject
}

/**
 * What becomes of a new connection: the endpoints that it may reach, a refusal, silence, or '': it goes where it was sent.
 * Endpoints as in `10.0.0.1:80` and `[fd00::1]:80`, in order of their addresses.
 */
export type Fate = readonly string[] | 'REJECT' | 'DROP' | ''

export interface Flow {
  readonly name: string
  readonly source: Address
  readonly protocol: Protocol
  readonly destination: Address
  readonly port: number
  /** Null: nothing is expected. */
  readonly fate: Fate | null
  /** Whether the endpoint sees another address than the client's; null: nothing is expected. */
  readonly masquerade: boolean | null
}

export interface Scenario {
  /** Its place in the file, from 0. */
  readonly number: number
  readonly title: string
  readonly env: ScenarioEnv
  readonly services: readonly ScenarioService[]
  readonly slices: readonly ScenarioSlice[]
  readonly flows: readonly Flow[]
}

export interface TopologyEndpoint {
  /** `10.0.0.1:80`, as the file has it. */
  readonly text: string
  readonly node: string
  readonly ready: boolean
  readonly serving: boolean
  readonly terminating: boolean
  readonly zoneHints: readonly string[] | null
  readonly nodeHints: readonly string[] | null
}

/** Endpoints by their texts; null: not used. */
export interface TopologyAnswer {
  readonly cluster: readonly string[] | null
  readonly local: readonly string[] | null
  readonly all: readonly string[]
  readonly hasAny: boolean
}

export interface TopologyCase {
  /** Its place in the file, from 0. */
  readonly number: number
  readonly title: string
  readonly node: string
  readonly zone: string | null
  readonly internal: 'Cluster' | 'Local'
  readonly external: 'Cluster' | 'Local'
  /** Whether the Service has external addresses or node ports. */
  readonly isExternal: boolean
  readonly endpoints: readonly TopologyEndpoint[]
  /** What is absent is not expected. */
  readonly expect: Partial<TopologyAnswer>
}

export interface ServiceCases {
  readonly scenarios: readonly Scenario[]
  readonly topology: readonly TopologyCase[]
}
