// Quarantine: what was genuine and not understood, by day.

import { ask } from './api.js';
import { body } from './body.js';
import { keyText } from './details.js';
import { el, fill, id, untrusted } from './dom.js';
import { Pages } from './list.js';
import { DAY, address, button, copier, dateInput, notice, refill } from './parts.js';
import { platform } from './sentences.js';
import { has, number, say, t, whenUtc } from './texts.js';

const REPROCESS = 'group-ledger reprocess';

/** Shows a day of quarantine; the path is a day as YYYY-MM-DD, in UTC. */
export function quarantine(main, { path, signal, go }) {
  const today = new Date().toISOString().slice(0, 10);
  const day = /^\d{4}-\d\d-\d\d$/u.test(path) && !Number.isNaN(Date.parse(path)) && path < today ? path : today;
  const step = (offset, text, key) =>
    button(text, () => go(address('quarantine', [new Date(Date.parse(day) + offset * DAY).toISOString().slice(0, 10)])), {
      class: 'step',
      'data-control': key,
      'aria-label': t(`quarantine.${key}`),
      title: t(`quarantine.${key}`),
      disabled: offset > 0 && day === today,
    });
  const list = el('ol', { class: 'changes' });
  const count = el('span', { class: 'count' });
  const content = el('div', { class: 'content' });
  const input = dateInput(
    { type: 'date', value: day, max: today, 'data-control': 'day', 'aria-label': t('quarantine.day') },
    (value) => value && go(address('quarantine', [value])),
  );
  refill(
    main,
    el(
      'div',
      { class: 'filters' },
      el('h1', {}, t('quarantine'), count),
      el('span', { class: 'stepper' }, step(-1, '‹', 'earlier'), input, step(1, '›', 'later')),
      el('span', { class: 'none' }, 'UTC'),
    ),
    el(
      'p',
      { class: 'intro' },
      t('quarantine.intro'),
      ' ',
      el('code', {}, REPROCESS),
      ' ',
      copier(REPROCESS),
      ' ',
      t('quarantine.strangers'),
    ),
    content,
  );

  let cursor;
  const page = async () => {
    const { quarantined, next, more } = await ask('quarantine', { day, limit: 100, cursor }, signal);
    // The newest first, where all are there; else as they come: by app, in the order of receipt.
    if (cursor === undefined && !more) {
      quarantined.sort((one, other) => (one.received_at < other.received_at ? 1 : -1));
      if (quarantined.length > 0) fill(count, ` (${number(quarantined.length)})`);
    }
    cursor = next;
    list.append(...quarantined.map(entry));
    return more;
  };
  const empty = () => notice('h2', t('quarantine.empty'));
  new Pages(content, list, { page, empty, text: t('quarantine.more') }).begin(signal);
}

function entry(callback) {
  const details = el('div', { class: 'details' });
  const disclosure = el(
    'details',
    {
      class: 'change',
      ontoggle: async () => {
        if (disclosure.open && details.childNodes.length === 0) {
          fill(
            details,
            el('section', {}, el('h2', {}, t('details.body')), await body(callback)),
            el(
              'dl',
              {},
              el('dt', {}, t('details.change_key')),
              el('dd', {}, keyText(callback.change_key)),
              callback.request_id && [el('dt', {}, t('details.request_id')), el('dd', {}, keyText(callback.request_id))],
            ),
          );
        }
      },
    },
    el(
      'summary',
      {},
      whenUtc(callback.received_at),
      el(
        'span',
        { class: 'what' },
        el('span', { class: 'sentence' }, callback.command ? id(callback.command, 64) : t('quarantine.no_command')),
        el(
          'span',
          { class: 'beneath' },
          say('quarantine.reason', {
            reason: has(`reason.${callback.code}`) ? t(`reason.${callback.code}`) : untrusted(callback.reason),
            code: callback.code,
          }),
        ),
      ),
    ),
    details,
  );
  return el(
    'li',
    {},
    disclosure,
    el(
      'span',
      { class: 'where' },
      el('span', {}, id(callback.app_id)),
      el('span', { class: 'platform' }, platform(callback.platform)),
    ),
  );
}
