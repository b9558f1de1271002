// const { document: orders, state } = useLive('/orders');
import { useCallback, useRef, useSyncExternalStore } from 'react';
import { live } from 'pollcast';

const WAITING = { document: undefined, state: 'connecting' };

/** The newest document at `url` and its state; the component renders again when either changes. */
export function useLive(url, options) {
  const seen = useRef(WAITING);
  const subscribe = useCallback((call) => {
    seen.current = WAITING;
    const feed = live(url, options);
    const look = () => {
      seen.current = { document: feed.document, state: feed.state };
      call();
    };
    feed.addEventListener('change', look);
    feed.addEventListener('state', look);
    return () => feed.close();
  }, [url]);
  return useSyncExternalStore(subscribe, () => seen.current, () => WAITING);
}
