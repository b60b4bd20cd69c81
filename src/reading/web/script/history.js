// A group's history: its changes, the newest first, with the gaps between them.

import { Failure, ask, follow, request } from './api.js';
import { justAfter } from './change.js';
import { el, fill } from './dom.js';
import { markGaps } from './gaps.js';
import { Days, furtherBy } from './list.js';
import { button, choice, failed, loading, reason, save } from './parts.js';
import { KINDS, user } from './sentences.js';
import { say, t } from './texts.js';

/** A page of the history; with what was before, where the history is short enough to be folded for each page. */
const PAGE = 100;
const FOLDED = 1_000;

/** The list, of one kind or person where `of` says so, from the change `of.anchor` back where there is one. */
export function historyOf(state, of) {
  const { key, at, anchor, kind, by, here, signal, go, onFailure } = of;
  const days = new Days(false, (change) => change.occurred_at);
  const older = button(t('history.older'), () => {}, { class: 'more' });
  const end = el('p', { class: 'none end', hidden: true }, t(kind || by ? 'history.end.filtered' : 'history.end'));
  const content = el('div', {}, loading());
  const gapsOf = Map.groupBy(state.gaps, (gap) => gap.change_key);
  const filter = [['group_key', key], ['operator', by], ...(KINDS[kind] ?? []).map((name) => ['kind', name])];
  const until = anchor ? justAfter(anchor.split('#')[0]) : at && justAfter(at);
  const query = [
    ...filter,
    ['order', 'desc'],
    ['until', until],
    ['limit', PAGE],
    ['previous', state.changes <= FOLDED ? true : undefined],
  ];
  let cursor = null;
  const page = async () => {
    const answer = await ask('history', [...query, ['cursor', cursor]], signal);
    cursor = answer.next;
    if (state.changes <= FOLDED) for (const change of answer.changes) change.previous ??= {};
    days.append(answer.changes).forEach((node, index) => markGaps(node, gapsOf.get(answer.changes[index].change_key)));
    return answer.more;
  };
  const load = async () => {
    try {
      let more = await page();
      while (more && days.node.childElementCount === 0) more = await page();
      if (days.node.childElementCount === 0) return fill(content, el('p', { class: 'none' }, t('history.empty')));
      older.hidden = !more;
      end.hidden = more;
      fill(content, days.node, older, end);
      furtherBy(
        older,
        async () => {
          try {
            const further = await page();
            end.hidden = further;
            return further;
          } catch (failure) {
            return signal.aborted || !onFailure(failure);
          }
        },
        signal,
      );
      if (anchor) reveal(days.node, anchor);
      days.node.addEventListener('toggle', (event) => event.target.matches('.change') && remember(event.target, here), {
        capture: true,
      });
    } catch (failure) {
      if (signal.aborted || onFailure(failure)) return;
      fill(
        content,
        failed(failure, () => {
          fill(content, loading());
          load();
        }),
      );
    }
  };
  load();
  const kinds = [['', t('history.kinds')], ...Object.keys(KINDS).map((name) => [name, t(`what.${name}`)])];
  return el(
    'div',
    { class: 'history' },
    el(
      'div',
      { class: 'tools' },
      el('h2', {}, t('history')),
      choice('history.kinds', kinds, kind, (value) => go(here({ kind: value, change: '' }))),
      download(filter, 'csv', of),
      download(filter, 'ndjson', of),
    ),
    by &&
      el(
        'p',
        { class: 'none' },
        say('history.by', { operator: user(by) }),
        ' ',
        el('a', { href: here({ by: '', change: '' }) }, t('history.all')),
      ),
    anchor && el('p', { class: 'none' }, t('history.from'), ' ', el('a', { href: here({ change: '' }) }, t('history.newer'))),
    content,
  );
}

/** The address is that of the change which was opened last. */
function remember(disclosure, here) {
  const own = disclosure.closest('li').dataset.key;
  if (disclosure.open) history.replaceState(null, '', here({ change: own }));
  else if (decodeURIComponent(location.hash).includes(own)) history.replaceState(null, '', here({ change: '' }));
}

/** A button that saves the history, up to the moment that is seen. */
function download(filter, format, { key, at, signal, onFailure }) {
  const idle = [`⤓ ${t(format)}`];
  let stop = null;
  const start = async () => {
    if (stop) return stop.abort();
    stop = new AbortController();
    signal.addEventListener('abort', () => stop?.abort(), { once: true });
    const parts = [];
    let count = 0;
    try {
      let response = await request(
        'history',
        [...filter, ['until', at && justAfter(at)], ['limit', 1_000], ['format', format]],
        stop.signal,
      );
      for (;;) {
        let text = await response.text();
        const lines = text.split('\n').length - 1;
        // Each page of CSV has the header line again.
        if (format === 'csv' && parts.length > 0) text = text.slice(text.indexOf('\n') + 1);
        parts.push(text);
        count += format === 'csv' ? lines - 1 : lines;
        fill(node, t('download.busy', { count }), ' ', t('download.cancel'));
        const link = /^<([^>]*)>; rel="next"; more/u.exec(response.headers.get('Link') ?? '')?.[1];
        if (!link) break;
        response = await follow(link, stop.signal);
      }
      save(
        parts,
        `${key.replaceAll(/[^\w-]+/gu, '_')}-${(at ?? new Date().toISOString()).slice(0, 10)}.${format === 'csv' ? 'csv' : 'jsonl'}`,
        format === 'csv' ? 'text/csv' : 'application/x-ndjson',
      );
    } catch (failure) {
      if (failure instanceof Failure && !onFailure(failure))
        node.after(el('span', { class: 'none', role: 'alert' }, say('download.failed', { reason: reason(failure) })));
    }
    stop = null;
    fill(node, idle);
  };
  const node = button(idle, start, {
    class: 'quiet',
    title: t('download.how', { format: t(format) }),
    'aria-label': t('download', { format: t(format) }),
  });
  return node;
}

/** Opens a change and brings it into view. */
function reveal(list, key) {
  const node = list.querySelector(`[data-key="${CSS.escape(key)}"]`);
  if (!node) return;
  node.classList.add('meant');
  const disclosure = node.querySelector('details');
  disclosure.open = true;
  disclosure.querySelector('summary').focus({ preventScroll: true });
  node.scrollIntoView({ block: 'center' });
}
