// const { document: orders, state } = useLive('/orders');
import { onScopeDispose, shallowRef } from 'vue';
import { live } from 'pollcast';

/** The newest document at `url` and its state, as refs; it ends with the component. */
export function useLive(url, options) {
  const feed = live(url, options);
  const document = shallowRef(feed.document);
  const state = shallowRef(feed.state);
  feed.subscribe((value) => (document.value = value));
  feed.addEventListener('state', () => (state.value = feed.state));
  onScopeDispose(() => feed.close());
  return { document, state };
}
