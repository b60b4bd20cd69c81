// A group's history: its changes, the newest first, with the gaps between them.

import { ask, next, request, textOf } from './api.js';
import { el, fill } from './dom.js';
import { markGaps } from './gaps.js';
import { Days, Pages } from './list.js';
import { button, choice, justAfter, reason, save } from './parts.js';
import { KINDS, user } from './sentences.js';
import { say, t } from './texts.js';

/** A page of the history; with what was before, where the history is short enough to be folded for each page. */
const PAGE = 100;
const FOLDED = 1_000;

/** The list, of one kind or person where `of` says so, from the change `of.anchor` back where there is one. */
export function historyOf(state, of) {
  const { key, at, anchor, kind, by, here, signal, go } = of;
  const days = new Days(false, (change) => change.occurred_at);
  const gapsOf = Map.groupBy(state.gaps, (gap) => gap.change_key);
  const filter = { group_key: key, operator: by, kind: KINDS[kind] };
  const last = anchor ? anchor.split('#')[0] : at;
  const isFolded = state.changes <= FOLDED;
  const query = { ...filter, order: 'desc', until: last && justAfter(last), limit: PAGE, previous: isFolded || null };
  const isFiltered = Boolean(kind || by);
  let cursor;
  const page = async () => {
    const { changes, next, more } = await ask('history', { ...query, cursor }, signal);
    cursor = next;
    // What was asked for and is not there is not known.
    if (isFolded) for (const change of changes) change.previous ??= {};
    days.append(changes).forEach((node, index) => markGaps(node, gapsOf.get(changes[index].change_key)));
    return more;
  };
  const empty = () => el('p', { class: 'none' }, t('history.empty'));
  const end = el('p', { class: 'none end' }, t(isFiltered ? 'history.end.filtered' : 'history.end'));
  const content = el('div', {});
  const pages = new Pages(content, days.node, { page, empty, text: t('history.older'), end });
  pages.begin(signal).then(() => {
    if (anchor) reveal(days.node, anchor);
    days.node.addEventListener('toggle', (event) => event.target.matches('.change') && remember(event.target, here), {
      capture: true,
    });
  });
  const kinds = [['', t('history.kinds')], ...Object.keys(KINDS).map((name) => [name, t(`what.${name}`)])];
  return el(
    'div',
    { class: 'history' },
    el(
      'div',
      { class: 'tools' },
      el('h2', {}, t('history')),
      choice('history.kind', kinds, kind, (value) => go(here({ kind: value, change: '' }))),
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

const FILES = { csv: ['csv', 'text/csv;charset=utf-8'], ndjson: ['jsonl', 'application/x-ndjson'] };

/** A button that saves the history, up to the moment that is seen; while it loads, it cancels. */
function download(filter, format, { key, at, signal }) {
  const idle = `⤓ ${t(format)}`;
  const [extension, type] = FILES[format];
  const problem = el('span', { class: 'none', role: 'alert' });
  let stop = null;
  const start = async () => {
    if (stop) return stop.abort();
    stop = new AbortController();
    const ended = AbortSignal.any([signal, stop.signal]);
    fill(problem);
    try {
      const parts = await pagesOf({ ...filter, until: at && justAfter(at), limit: 1_000, format }, format, ended);
      save(parts, `${key.replaceAll(/[^\w-]+/gu, '_')}-${(at ?? new Date().toISOString()).slice(0, 10)}.${extension}`, type);
    } catch (failure) {
      if (!ended.aborted) fill(problem, say('download.failed', { reason: reason(failure) }));
    }
    stop = null;
    fill(node, idle);
  };
  /** The history's pages as text. */
  async function pagesOf(parameters, format, ended) {
    // Without the mark, spreadsheets take UTF-8 for something else.
    const parts = format === 'csv' ? ['\ufeff'] : [];
    let count = 0;
    for (
      let response = await request('history', parameters, ended);
      response;
      response = await next('history', response, ended)
    ) {
      const text = await textOf(response);
      const [head, rest] =
        format === 'csv' ? [text.slice(0, text.indexOf('\n') + 1), text.slice(text.indexOf('\n') + 1)] : ['', text];
      // Each page of CSV has the header line.
      parts.push(count === 0 ? head + rest : rest);
      count += rest.split('\n').length - 1;
      fill(node, t('download.busy', { count }), ' ', t('download.cancel'));
    }
    return parts;
  }
  const node = button(idle, start, { class: 'quiet', title: t('download.how', { format: t(format) }) });
  return [node, problem];
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
