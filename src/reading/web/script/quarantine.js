// Quarantine: what was genuine and not understood, by day.

import { ask } from './api.js';
import { body, keyText, platform } from './change.js';
import { el, fill, id, untrusted } from './dom.js';
import { furtherBy } from './list.js';
import { DAY, address, button, copier, dateInput, failed, loading, notice, refill } from './parts.js';
import { has, number, say, t, when } from './texts.js';

const REPROCESS = 'group-ledger reprocess';

/** Shows a day of quarantine; the path is a day as YYYY-MM-DD, in UTC. */
export function quarantine(main, { path, signal, go, onFailure }) {
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
  const more = button(t('quarantine.more'), () => {}, { class: 'more' });
  const content = el('div', { class: 'content' }, loading());
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

  let cursor = null;
  async function page() {
    const answer = await ask(
      'quarantine',
      [
        ['day', day],
        ['limit', 100],
        ['cursor', cursor],
      ],
      signal,
    );
    cursor = answer.next;
    return answer;
  }

  async function load() {
    try {
      let answer = await page();
      while (answer.more && answer.quarantined.length === 0) answer = await page();
      if (answer.quarantined.length === 0) return fill(content, notice('h2', t('quarantine.empty')));
      // The newest first, where all are there; else as they come: by app, in the order of receipt.
      if (!answer.more) {
        answer.quarantined.sort((one, other) => (one.received_at < other.received_at ? 1 : -1));
        fill(count, ` (${number(answer.quarantined.length)})`);
      }
      list.append(...answer.quarantined.map(entry));
      more.hidden = !answer.more;
      fill(content, list, more);
      furtherBy(
        more,
        async () => {
          try {
            const further = await page();
            list.append(...further.quarantined.map(entry));
            return further.more;
          } catch (failure) {
            return signal.aborted || !onFailure(failure);
          }
        },
        signal,
      );
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
  }
  load();
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
      when(callback.received_at, 'time'),
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
