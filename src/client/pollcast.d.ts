/** The client of pollcast: a feed's URL becomes a live object. */

/** `live`: as the upstream has it. `stale`: two polls failed. `down`: none has succeeded for long. */
export type State = 'connecting' | 'live' | 'stale' | 'down' | 'offline' | 'ended';

/** How far a document can be trusted. */
export interface Freshness {
  readonly state: State;
  /** Since when it is in this state. */
  readonly since: Date;
  /** The last successful poll, where pollcast told it: in the states `stale` and `down`. */
  readonly lastSuccess: Date | null;
  readonly reason: string | null;
  /** When the connection last gave a sign of life that could be seen. */
  readonly lastHeard: Date;
}

/** An RFC 6902 operation. */
export type Operation =
  | { op: 'add' | 'replace' | 'test'; path: string; value: unknown }
  | { op: 'remove'; path: string }
  | { op: 'move' | 'copy'; from: string; path: string };

/** The events of a feed, by pollcast's own names. */
export type EventName =
  | 'snapshot' | 'patch' | 'merge' | 'added' | 'changed' | 'removed' | 'reset' | 'status' | 'end';

export interface Options<T = unknown> {
  /** How changes are told; the feed's own default if absent. */
  mode?: 'patch' | 'merge' | 'snapshot';
  /**
   * Follows the feed item by item: a JSON Pointer to where they are (`document.items`; the root if
   * absent), and the member that identifies them (`document.key`; none if they are members of an
   * object). New items come last.
   */
  items?: { at?: string; key?: string };
  /** Sent with each connection; a function is asked anew for each, so that tokens can be renewed. */
  headers?: HeadersInit | (() => HeadersInit | Promise<HeadersInit>);
  method?: string;
  body?: BodyInit;
  credentials?: RequestCredentials;
  /**
   * One connection for all tabs of the origin that say so, where the browser allows it; not with
   * `headers`, `method` or `body`. Where a document depends on who is logged in (by cookie), say
   * who it is, as in `share: user.id`: only tabs of the same one share.
   */
  share?: boolean | string | number;
  /** The period of the feed's heartbeat in milliseconds, and its event's name if it has one (`deliver.heartbeat`). */
  heartbeat?: { every: number; event?: string };
  /** The feed's own names of events (`events.names`); the empty one is `message`. */
  events?: Partial<Record<EventName, string>>;
  /** A document that was kept, with the id of its newest event: the stream goes on from there. */
  document?: T;
  lastEventId?: string;
}

export interface LiveEvents<T> {
  /** There is another document. */
  change: Event & { readonly document: T; readonly before: T | undefined };
  /** `state` or its reason is another one. */
  state: Event & Freshness;
  /** The position was lost; a snapshot follows. */
  reset: Event & { readonly reason: 'unknown_id' | 'expired' | 'lagged' };
  /** It is over, and does not try again. */
  end: Event & { readonly reason: string };
  /** An event of the feed as it came; `id` is empty if it has none. */
  event: Event & { readonly name: EventName; readonly data: string; readonly id: string };
}

export interface Live<T = any> extends EventTarget {
  /** The newest document. Never mutated: what changed is another reference, what did not is the same. */
  readonly document: T | undefined;
  readonly state: State;
  readonly freshness: Freshness;
  /** The id of the newest event that the document contains, or empty. */
  readonly lastEventId: string;
  /** Calls back when what is at this JSON Pointer changes. Returns what ends that. */
  on<V = any>(pointer: string, call: (value: V | undefined, before: V | undefined, pointer: string) => void): () => void;
  /** Calls back with each document, at once if there is one. Returns what ends that. */
  subscribe(call: (document: T) => void): () => void;
  /** Ends it for good. */
  close(): void;
  addEventListener<K extends keyof LiveEvents<T>>(
    type: K,
    listener: (event: LiveEvents<T>[K]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
}

/** Follows the feed at `url`. */
export function live<T = any>(url: string | URL, options?: Options<T>): Live<T>;

/** The document that a patch makes of `document`, which is left as it is. Throws if it does not fit. */
export function patch<T = any>(document: unknown, operations: readonly Operation[]): T;

/** The document that an RFC 7396 merge patch makes of `document`, which is left as it is. */
export function merge<T = any>(document: unknown, change: unknown): T;
