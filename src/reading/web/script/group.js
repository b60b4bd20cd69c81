// A group: its state beside its history, now or at any moment.

import { ask } from './api.js';
import { cut, el, fill, id, isBlank, untrusted } from './dom.js';
import { historyOf } from './history.js';
import { address, button, copier, dateInput, failed, justAfter, loading, notice, reason, refill } from './parts.js';
import { platform, user } from './sentences.js';
import { panel } from './state.js';
import { local, say, t, when } from './texts.js';

/** The steps of the slider. */
const STEPS = 1_000;
/** The ledger has no earlier times. */
const FIRST = Date.UTC(2000);
/** How long the slider rests before the group is read, in milliseconds. */
const REST = 300;

/** Shows a group, as of `parameters.at` where that is given, with the history from `parameters.change` back where that is given. */
export function group(main, { path: key, parameters, signal, go }) {
  const { kind = '', by } = parameters;
  // A key that was cut off is none.
  const anchor = isTime(parameters.change?.split('#')[0]) ? parameters.change : undefined;
  // No time, and one that is yet to come, is now.
  const at = isTime(parameters.at) && Date.parse(parameters.at) < Date.now() ? parameters.at : undefined;
  const here = (changes) => address('group', [key], { at, kind, by, ...changes });
  const shownAt = at && new Date(at).toISOString();
  const of = { key, at: shownAt, anchor, kind, by, here, signal, go };
  if (main.childElementCount === 0) fill(main, loading());
  else main.setAttribute('aria-busy', 'true');

  async function load() {
    let state;
    try {
      state = await ask('state', { group_key: key, at: shownAt }, signal);
    } catch (failure) {
      if (signal.aborted) return;
      if (failure.status === 404) return nothing();
      if (failure.parameter === 'group_key')
        return refill(main, notice('h1', t('group.unknown'), el('p', {}, t('group.not_a_key'))));
      return refill(
        main,
        failed(failure, () => {
          fill(main, loading());
          load();
        }),
      );
    }
    const { name } = state.fields;
    document.title = `${cut(String(name?.value || state.group_id), 60)} · Group Ledger`;
    refill(main, at && past(), heading(state), el('div', { class: 'columns' }, panel(state, of), historyOf(state, of)));
  }

  /** Nothing up to then: is there anything at all? */
  async function nothing() {
    if (!at) return unknown();
    try {
      const state = await ask('state', { group_key: key }, signal);
      const [began] = state.first_change_key.split('#');
      refill(
        main,
        past(),
        heading(state, true),
        notice(
          'h2',
          t('group.before'),
          el('p', {}, say('group.before.first', { time: when(began) })),
          el(
            'p',
            { class: 'actions' },
            el('a', { href: here({ at: began }) }, t('group.before.go')),
            el('a', { href: here({ at: '' }) }, t('group.before.now')),
          ),
        ),
      );
    } catch (failure) {
      if (signal.aborted) return;
      if (failure.status === 404) return unknown();
      refill(main, failed(failure, nothing));
    }
  }

  function unknown() {
    const named = el('p', {}, untrusted(cut(key, 300), { class: 'id' }));
    refill(main, notice('h1', t('group.unknown'), named, el('p', {}, t('group.unknown.next'))));
  }

  function past() {
    return el(
      'p',
      { class: 'past', role: 'status' },
      el('span', {}, say('asof.bar', { time: when(shownAt) })),
      ' ',
      el('a', { href: here({ at: '' }) }, t('asof.back')),
    );
  }

  function heading(state, isBare = false) {
    const { name, group_type: type } = state.fields;
    const began = state.first_change_key.split('#')[0];
    // A change after the dismissal begins a life of which nothing older is known.
    const revived = state.gaps.filter((gap) => gap.kind === 'change_after_dismissal').at(-1)?.occurred_at;
    const title =
      typeof name?.value === 'string' && !isBlank(name.value)
        ? untrusted(cut(name.value, 200))
        : el('span', { class: 'none' }, t('group.unnamed'));
    return el(
      'header',
      { class: 'heading' },
      el(
        'div',
        {},
        el('h1', {}, title),
        el('p', { class: 'facts' }, id(state.group_id, 48), ' ', copier(state.group_id, 'copy.id')),
        !isBare &&
          el(
            'p',
            { class: 'facts' },
            el('span', { class: `status ${state.status}` }, t(`group.${state.status}`)),
            dot(),
            type && [untrusted(String(type.value)), dot()],
            platform(state.platform),
            dot(),
            state.created && state.complete
              ? say('group.since', { time: when(state.created.since, 'shortDay') })
              : say(revived ? 'group.revived' : 'group.at_least_since', { time: when(revived ?? began, 'shortDay') }),
            state.dismissed && [dot(), dismissal(state.dismissed)],
            dot(),
            t('group.changes', { count: state.changes }),
          ),
        !isBare && button([t('history'), ' ↓'], () => main.querySelector('.history').scrollIntoView(), { class: 'quiet jump' }),
      ),
      travel(began),
    );
  }

  function dismissal({ since, change_key: change, operator }) {
    const text = say(operator ? 'group.ended.by' : 'group.ended', {
      time: when(since, 'minute'),
      operator: operator && user(operator),
    });
    return el('a', { href: here({ change, kind: '', by: '' }) }, text);
  }

  /** The controls of the time at which the group is seen. */
  function travel(began) {
    const [from, to] = [Date.parse(began), Date.now()];
    const position = at ? Math.round(((Date.parse(at) - from) / Math.max(to - from, 1)) * STEPS) : STEPS;
    const time = (step) => (Number(step) >= STEPS ? '' : new Date(from + ((to - from) * Number(step)) / STEPS).toISOString());
    const spoken = (moment) => (moment ? local(moment, 'minute') : t('asof.now'));
    const output = el('output', { class: 'none' }, at ? '' : t('asof.now'));
    let rest;
    const slider = el('input', {
      type: 'range',
      min: 0,
      max: STEPS,
      value: position,
      'data-control': 'slider',
      'aria-label': t('asof.slider'),
      // Its steps say nothing.
      'aria-valuetext': spoken(at),
      oninput: () => {
        const text = spoken(time(slider.value));
        slider.setAttribute('aria-valuetext', text);
        fill(output, text);
      },
      onchange: () => {
        clearTimeout(rest);
        rest = setTimeout(() => slider.isConnected && go(here({ at: time(slider.value) })), REST);
      },
    });
    const input = dateInput(
      {
        type: 'datetime-local',
        step: 1,
        min: forInput(new Date(FIRST)),
        max: forInput(new Date()),
        value: at ? forInput(new Date(at)) : '',
        'data-control': 'asof',
        'aria-label': t('asof'),
      },
      (value) => go(here({ at: value && new Date(value).toISOString() })),
    );
    const step = (before, text, name, disabled) =>
      button(text, () => neighbour(before, output), {
        class: 'step',
        'data-control': name,
        'aria-label': t(`asof.${name}`),
        title: t(`asof.${name}`),
        disabled,
      });
    return el(
      'div',
      { class: 'travel' },
      el('label', {}, t('asof'), ' ', input),
      output,
      el('div', { class: 'slide' }, step(true, '‹', 'earlier', false), slider, step(false, '›', 'later', !at)),
    );
  }

  /** Goes to the moment of the change before or after the one that is seen. */
  async function neighbour(before, output) {
    const bounds = before ? { order: 'desc', until: shownAt } : { from: justAfter(shownAt) };
    try {
      const { changes } = await ask('history', { group_key: key, ...bounds, limit: 1 }, signal);
      if (changes.length > 0 || !before) go(here({ at: changes[0]?.occurred_at ?? '' }));
    } catch (failure) {
      if (!signal.aborted) fill(output, reason(failure));
    }
  }

  load();
}

/** Whether a text is a time that the ledger can have. */
function isTime(text) {
  return Date.parse(text) >= FIRST;
}

function dot() {
  return el('span', { class: 'separator', 'aria-hidden': 'true' }, ' · ');
}

/** A time as an input of a local one has it. */
function forInput(time) {
  const local = new Date(time.getTime() - time.getTimezoneOffset() * 60_000);
  return local.toISOString().slice(0, 19);
}
