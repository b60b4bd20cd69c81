// A group: its state beside its history, now or at any moment.

import { Failure, ask, follow, request } from './api.js';
import { justAfter, platform, shown } from './change.js';
import { cut, el, fill, id, untrusted } from './dom.js';
import { Days, furtherBy } from './list.js';
import { address, button, choice, copier, dateInput, failed, loading, notice, reason, refill, save } from './parts.js';
import { KINDS, byPlace, label, role, user } from './sentences.js';
import { has, local, number, say, t, when } from './texts.js';

/** A page of the history; with what was before, where the history is short enough to be folded for each page. */
const PAGE = 100;
const FOLDED = 1_000;
/** How many members are shown at first, and of `/members` at a time. */
const MEMBERS = 50;
const STEPS = 1_000;

/** Shows a group, as of `parameters.at` where that is given, with the history from `parameters.change` back where that is given. */
export function group(main, { path: key, parameters, signal, go, onFailure }) {
  const { change: anchor, kind = '', by } = parameters;
  // No time, and one that is yet to come, is now.
  const at = Date.parse(parameters.at) < Date.now() ? parameters.at : undefined;
  const here = (changes) => address('group', [key], { at, kind, by, ...changes });
  const shownAt = at && new Date(at).toISOString();
  if (main.childElementCount === 0) fill(main, loading());
  else main.setAttribute('aria-busy', 'true');

  async function load() {
    let state;
    try {
      state = await ask('state', [['group_key', key], ['at', shownAt]], signal);
    } catch (failure) {
      if (signal.aborted || onFailure(failure)) return;
      if (failure.status === 404) return nothing();
      if (failure.status === 400) return refill(main, notice(t('group.unknown'), el('p', {}, t('group.not_a_key'))));
      return refill(main, failed(failure, () => { fill(main, loading()); load(); }));
    }
    const { name } = state.fields;
    document.title = `${cut(String(name?.value || state.group_id), 60)} · Group Ledger`;
    refill(main, at && past(), heading(state), el('div', { class: 'columns' }, panel(state), historyOf(state)));
  }

  /** Nothing up to then: is there anything at all? */
  async function nothing() {
    if (!at) return refill(main, notice(t('group.unknown'), el('p', {}, untrusted(cut(key, 300), { class: 'id' })), el('p', {}, t('group.unknown.next'))));
    try {
      const state = await ask('state', [['group_key', key]], signal);
      const [began] = state.first_change_key.split('#');
      refill(main, past(), heading(state, true), notice(t('group.before'), el('p', {}, say('group.before.first', { time: when(began) })),
        el('p', { class: 'actions' }, el('a', { href: here({ at: began }) }, t('group.before.go')), el('a', { href: here({ at: '' }) }, t('group.before.now')))));
    } catch (failure) {
      if (signal.aborted || onFailure(failure)) return;
      refill(main, notice(t('group.unknown'), el('p', {}, t('group.unknown.next'))));
    }
  }

  function past() {
    return el('p', { class: 'past', role: 'status' }, el('span', {}, say('asof.bar', { time: when(shownAt) })), ' ', el('a', { href: here({ at: '' }) }, t('asof.back')));
  }

  function heading(state, isBare = false) {
    const { name, group_type: type } = state.fields;
    const began = state.first_change_key.split('#')[0];
    // A change after the dismissal begins a life of which nothing older is known.
    const revived = state.gaps.filter((gap) => gap.kind === 'change_after_dismissal').at(-1)?.occurred_at;
    const title = typeof name?.value === 'string' && name.value.trim() !== '' ? untrusted(cut(name.value, 200)) : el('span', { class: 'none' }, t('group.unnamed'));
    return el('header', { class: 'heading' },
      el('div', {}, el('h1', {}, title),
        el('p', { class: 'facts' }, id(state.group_id, 48), ' ', copier(state.group_id, 'copy.id')),
        !isBare && el('p', { class: 'facts' }, el('span', { class: `status ${state.status}` }, t(`group.${state.status}`)), dot(),
          type && [untrusted(String(type.value)), dot()], platform(state.platform), dot(),
          say(state.complete ? 'group.since' : 'group.at_least_since', { time: when(state.created?.since ?? revived ?? began, 'shortDay') }), dot(),
          t('group.changes', { count: state.changes })),
        !isBare && button([t('history'), ' ↓'], () => main.querySelector('.history').scrollIntoView(), { class: 'quiet jump' })),
      travel(began));
  }

  /** The controls of the time at which the group is seen. */
  function travel(began) {
    const [from, to] = [Date.parse(began), Date.now()];
    const position = at ? Math.round(((Date.parse(at) - from) / Math.max(to - from, 1)) * STEPS) : STEPS;
    const time = (step) => (Number(step) >= STEPS ? '' : new Date(from + ((to - from) * Number(step)) / STEPS).toISOString());
    const output = el('output', { class: 'none' }, at ? '' : t('asof.now'));
    const slider = el('input', { type: 'range', min: 0, max: STEPS, value: position, 'data-control': 'slider', 'aria-label': t('asof.slider'),
      oninput: () => fill(output, time(slider.value) === '' ? t('asof.now') : local(time(slider.value), 'minute')),
      onchange: () => go(here({ at: time(slider.value) })) });
    const input = dateInput({ type: 'datetime-local', step: 1, max: forInput(new Date()), value: at ? forInput(new Date(at)) : '', 'data-control': 'asof', 'aria-label': t('asof') },
      (value) => go(here({ at: value && new Date(value).toISOString() })));
    const step = (before, text, name, disabled) => button(text, () => neighbour(before),
      { class: 'step', 'data-control': name, 'aria-label': t(`asof.${name}`), title: t(`asof.${name}`), disabled });
    return el('div', { class: 'travel' }, el('label', {}, t('asof'), ' ', input), output,
      el('div', { class: 'slide' }, step(true, '‹', 'earlier', false), slider, step(false, '›', 'later', !at)));
  }

  /** Goes to the moment of the change before or after the one that is seen. */
  async function neighbour(before) {
    const bounds = before ? [['order', 'desc'], ['until', shownAt]] : [['from', justAfter(shownAt)]];
    try {
      const { changes: [target] } = await ask('history', [['group_key', key], ...bounds, ['limit', 1]], signal);
      if (target || !before) go(here({ at: target?.occurred_at ?? '' }));
    } catch (failure) {
      if (!signal.aborted) onFailure(failure);
    }
  }

  /** What a value says of its origin: since when, by whom, and a link to the change that set it. */
  function origin(value) {
    if (!value.change_key) return null;
    const joined = value.how === 'invited' && !value.operator ? 'how.apply' : `how.${value.how}`;
    const form = has(joined) ? joined : value.operator ? 'since_by' : 'since';
    const text = value.since === null ? t('since.unknown') : say(form, { time: when(value.since, 'minute'), operator: value.operator && user(value.operator) });
    return el('a', { class: 'origin', href: here({ change: value.change_key, kind: '', by: '' }), title: t('to_change') }, text, '\u00a0→');
  }

  function values(title, entries, name, more) {
    if (entries.length === 0) return null;
    return el('section', {}, el('h2', {}, t(title), name === user && el('span', { class: 'count' }, ` (${number(entries.length)})`)),
      el('dl', { class: 'values' }, entries.map(([field, value]) => [el('dt', {}, name(field, 32)),
        el('dd', {}, el('div', {}, field === 'owner' && typeof value.value === 'string' && value.value !== '' ? user(value.value) : shown(value.value)), origin(value))])), more);
  }

  function panel(state) {
    const fields = Object.entries(state.fields).sort(([one], [other]) => byPlace(one, other));
    const noOwner = !state.fields.owner && el('dl', { class: 'values' }, el('dt', {}, label('owner')), el('dd', { class: 'none' }, t('owner.unknown')));
    return el('div', { class: 'panel' },
      !state.finished && el('p', { class: 'banner' }, say('group.unfinished', { changes: number(state.changes), time: when(state.last_change_key.split('#')[0]) })),
      gaps(state),
      fields.length > 0 ? values('profile', fields, label, noOwner) : el('section', {}, el('h2', {}, t('profile')), el('p', { class: 'none' }, t('profile.empty'))),
      values('custom_fields', Object.entries(state.custom_fields), user), values('attributes', Object.entries(state.attributes), user),
      members(state), topics(state));
  }

  function gaps(state) {
    if (state.gaps.length === 0) return null;
    const total = Object.values(state.gap_counts).reduce((sum, count) => sum + count, 0);
    return el('section', { class: 'gaps' }, el('h2', {}, mark(), t('gaps', { count: total })),
      el('ol', {}, state.gaps.map((gap) => el('li', {}, el('a', { href: here({ change: gap.change_key, kind: '', by: '' }) }, when(gap.occurred_at, 'minute')), ' ', gapText(gap)))),
      total > state.gaps.length && el('p', { class: 'none' }, t('gaps.counted', { count: state.gaps.length })));
  }

  function members(state) {
    const all = Object.entries(state.members);
    const owner = state.fields.owner?.value;
    const list = el('ul', { class: 'members' });
    const more = button(t('members.more'), () => further(), { class: 'more' });
    const member = ([name, known]) => el('li', {}, el('span', {}, user(name), known.nickname && [' ', untrusted(cut(String(known.nickname), 80), { class: 'nickname' })],
      (name === owner || known.role !== undefined) && [' ', el('span', { class: 'tag' }, name === owner ? t('role.owner') : role(known.role))]), origin(known));
    let shownMembers = 0;
    let cursor;
    async function further() {
      if (shownMembers < all.length) {
        const next = all.slice(shownMembers, shownMembers + (shownMembers === 0 ? MEMBERS : 500));
        list.append(...next.map(member));
        shownMembers += next.length;
      } else {
        more.disabled = true;
        try {
          const page = await ask('members', [['group_key', key], ['at', shownAt ?? state.last_change_key.split('#')[0]], ['limit', 1_000], ['cursor', cursor]], signal);
          // The pages begin with those that are shown already.
          const news = page.members.filter(({ user: name }) => !Object.hasOwn(state.members, name));
          list.append(...news.map((listed) => member([listed.user, listed])));
          shownMembers += news.length;
          cursor = page.next;
        } catch (failure) {
          if (!signal.aborted && !onFailure(failure)) more.after(el('p', { class: 'none' }, reason(failure)));
        }
        more.disabled = false;
      }
      more.hidden = shownMembers >= state.members_total;
    }
    further();
    const known = state.members_complete ? el('span', { class: 'complete' }, `${t('members.complete')} ✓`)
      : el('details', { class: 'why' }, el('summary', {}, t('members.incomplete')), el('p', {}, t('members.why')));
    return el('section', {}, el('h2', {}, t('members'), state.members_total > 0 && el('span', { class: 'count' }, ` (${number(state.members_total)})`)), known,
      all.length === 0 ? el('p', { class: 'none' }, t('members.none')) : [list, more]);
  }

  function topics(state) {
    const all = Object.entries(state.topics);
    if (all.length === 0) return null;
    return el('section', {}, el('h2', {}, t('topics'), el('span', { class: 'count' }, ` (${number(all.length)})`)),
      all.map(([topic, fields]) => [el('h3', {}, user(topic.split('@TOPIC#').pop(), 32)),
        el('dl', { class: 'values' }, Object.entries(fields).sort(([one], [other]) => byPlace(one, other)).map(([field, value]) => [el('dt', {}, label(field, 'topic')), el('dd', {}, el('div', {}, shown(value.value)), origin(value))]))]));
  }

  function historyOf(state) {
    const days = new Days(false, (change) => change.occurred_at);
    const older = button(t('history.older'), () => {}, { class: 'more' });
    const end = el('p', { class: 'none end', hidden: true }, t(kind || by ? 'history.end.filtered' : 'history.end'));
    const content = el('div', {}, loading());
    const gapsOf = Map.groupBy(state.gaps, (gap) => gap.change_key);
    const filter = [['group_key', key], ['operator', by], ...(KINDS[kind] ?? []).map((name) => ['kind', name])];
    const until = anchor && anchor !== '' ? justAfter(anchor.split('#')[0]) : shownAt && justAfter(shownAt);
    const query = [...filter, ['order', 'desc'], ['until', until], ['limit', PAGE], ['previous', state.changes <= FOLDED ? true : undefined]];
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
        furtherBy(older, async () => {
          try {
            const further = await page();
            end.hidden = further;
            return further;
          } catch (failure) {
            return signal.aborted || !onFailure(failure);
          }
        }, signal);
        if (anchor) reveal(days.node, anchor);
        days.node.addEventListener('toggle', (event) => event.target.matches('.change') && remember(event.target), { capture: true });
      } catch (failure) {
        if (signal.aborted || onFailure(failure)) return;
        fill(content, failed(failure, () => { fill(content, loading()); load(); }));
      }
    };
    load();
    const kinds = [['', t('history.kinds')], ...Object.keys(KINDS).map((name) => [name, t(`what.${name}`)])];
    return el('div', { class: 'history' },
      el('div', { class: 'tools' }, el('h2', {}, t('history')), choice('history.kinds', kinds, kind, (value) => go(here({ kind: value, change: '' }))),
        download(filter, 'csv'), download(filter, 'ndjson')),
      by && el('p', { class: 'none' }, say('history.by', { operator: user(by) }), ' ', el('a', { href: here({ by: '', change: '' }) }, t('history.all'))),
      anchor && el('p', { class: 'none' }, t('history.from'), ' ', el('a', { href: here({ change: '' }) }, t('history.newer'))), content);
  }

  /** The address is that of the change which was opened last. */
  function remember(disclosure) {
    const own = disclosure.closest('li').dataset.key;
    if (disclosure.open) history.replaceState(null, '', here({ change: own }));
    else if (decodeURIComponent(location.hash).includes(own)) history.replaceState(null, '', here({ change: '' }));
  }

  /** A button that saves the history, up to the moment that is seen. */
  function download(filter, format) {
    const idle = [`⤓ ${t(format)}`];
    let stop = null;
    const start = async () => {
      if (stop) return stop.abort();
      stop = new AbortController();
      signal.addEventListener('abort', () => stop?.abort(), { once: true });
      const parts = [];
      let count = 0;
      try {
        let response = await request('history', [...filter, ['until', shownAt && justAfter(shownAt)], ['limit', 1_000], ['format', format]], stop.signal);
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
        save(parts, `${key.replaceAll(/[^\w-]+/gu, '_')}-${(shownAt ?? new Date().toISOString()).slice(0, 10)}.${format === 'csv' ? 'csv' : 'jsonl'}`, format === 'csv' ? 'text/csv' : 'application/x-ndjson');
      } catch (failure) {
        if (failure instanceof Failure && !onFailure(failure)) node.after(el('span', { class: 'none', role: 'alert' }, say('download.failed', { reason: reason(failure) })));
      }
      stop = null;
      fill(node, idle);
    };
    const node = button(idle, start, { class: 'quiet', title: t('download.how', { format: t(format) }), 'aria-label': t('download', { format: t(format) }) });
    return node;
  }

  load();
}

function dot() {
  return el('span', { class: 'separator', 'aria-hidden': 'true' }, ' · ');
}

/** The sign of a gap. */
function mark() {
  return el('span', { class: 'mark', 'aria-hidden': 'true' }, '⚠ ');
}

function gapText(gap) {
  const key = has(`gap.${gap.kind}`) ? `gap.${gap.kind}` : 'gap.other';
  const value = (name) => (gap[name] === undefined ? say('empty') : user(String(gap[name])));
  return say(key, { expected: value('expected'), found: value('found') });
}

/** Puts the gaps before a change beneath it: a history runs back. They stay beneath its line when it opens. */
function markGaps(node, gaps = []) {
  const marks = gaps.map((gap) => {
    const key = has(`gap.${gap.kind}`) ? `gap.${gap.kind}` : 'gap.other';
    return el('div', { class: 'gap' }, el('p', {}, mark(), el('strong', {}, t('gap.here'))), el('p', {}, gapText(gap)),
      el('details', {}, el('summary', {}, t('gap.what')), el('p', {}, say(`${key}.means`, { found: user(String(gap.found ?? '')) }))));
  });
  const disclosure = node.querySelector('details');
  disclosure.addEventListener('toggle', () => (disclosure.open ? disclosure.firstChild.after(...marks) : node.append(...marks)));
  node.append(...marks);
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

/** A time as an input of a local one has it. */
function forInput(time) {
  const local = new Date(time.getTime() - time.getTimezoneOffset() * 60_000);
  return local.toISOString().slice(0, 19);
}
