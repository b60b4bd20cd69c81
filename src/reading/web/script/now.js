// Now: the newest changes of all groups, coming in by themselves.

import { ask } from './api.js';
import { keyOf, platform, showNames } from './change.js';
import { el, fill } from './dom.js';
import { Days, furtherBy } from './list.js';
import { DAY, address, button, choice, copier, failed, loading, notice, option, refill } from './parts.js';
import { KINDS } from './sentences.js';
import { say, t, when } from './texts.js';

/** How often it asks, in milliseconds. */
const EVERY = 2_000;
/** How often it looks for what became visible late, in milliseconds. */
const LATE = 10_000;
/** The most items of the list while it grows at the top. */
const MOST = 500;
/** How many days back it looks at first, and then. */
const DAYS = [7, 35];

/** Shows the newest changes. What it returns goes on with them after it was left. */
export function now(main, { parameters, signal: first, go, onFailure }) {
  let signal = first;
  const { platform: of = '', what = '' } = parameters;
  const filters = [['platform', of], ...(KINDS[what] ?? []).map((kind) => ['kind', kind])];
  const state = el('button', { type: 'button', class: 'live' });
  const pill = button('', () => showNew(), { class: 'pill', hidden: true });
  const announcement = el('p', { class: 'unseen-text', role: 'status', 'aria-live': 'polite' });
  const banner = el('p', { class: 'banner', role: 'status', hidden: true });
  const content = el('div', { class: 'content' }, loading());
  const show = (changes) => go(address('now', [], { platform: of, what, ...changes }));
  const platforms = choice('platform', [['', t('platform.all')]], of, (value) => show({ platform: value }));
  refill(
    main,
    el(
      'div',
      { class: 'filters' },
      el('h1', {}, t('now')),
      platforms,
      choice('what', [['', t('what.all')], ...Object.keys(KINDS).map((name) => [name, t(`what.${name}`)])], what, (value) =>
        show({ what: value }),
      ),
      state,
    ),
    banner,
    announcement,
    pill,
    content,
  );

  let days = new Days(true, (change) => change.recorded_at ?? change.received_at);
  const older = button(t('history.older'), () => {}, { class: 'more' });
  const known = new Set();
  let waiting = [];
  let paused = false;
  let pastDays = 0;
  let seen = new Date().toISOString();
  let timer;
  let further;
  let begin = load;

  /** What is new among changes, oldest first, by the order of writing. */
  const fresh = (changes) => changes.filter((change) => !known.has(keyOf(change)) && known.add(keyOf(change)));

  async function load() {
    try {
      const { apps } = await ask('apps', [], signal);
      const names = [...new Set(apps.map((app) => app.platform))];
      fill(platforms, option('', t('platform.all'), of), ...names.map((name) => option(name, platform(name), of)));
      const from = new Date(Date.now() - DAYS[pastDays] * DAY).toISOString();
      let page = await ask('feed', [...filters, ['order', 'desc'], ['details', true], ['limit', 50], ['from', from]], signal);
      // A page may be empty and yet not the last.
      while (page.changes.length === 0 && page.more)
        page = await ask('feed', [...filters, ['order', 'desc'], ['details', true], ['limit', 50], ['after', page.next]], signal);
      seen = new Date().toISOString();
      fillFirst(page);
      grow(page.changes[0]?.recorded_at);
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

  function fillFirst(page) {
    if (page.changes.length === 0) return fill(content, nothing());
    fill(content, days.node, older);
    days.append(fresh(page.changes));
    showNames(days.node);
    let next = page.next;
    older.hidden = !page.more;
    further = async () => {
      try {
        const page = await ask(
          'feed',
          [...filters, ['order', 'desc'], ['details', true], ['limit', 50], ['after', next]],
          signal,
        );
        days.append(fresh(page.changes));
        showNames(days.node);
        next = page.next;
        return page.more;
      } catch (failure) {
        return signal.aborted || !onFailure(failure);
      }
    };
    furtherBy(older, further, signal);
  }

  function nothing() {
    const isLocal = ['127.0.0.1', 'localhost', '[::1]'].includes(location.hostname);
    const command = `group-ledger send ${location.origin} --demo`;
    const filtered = of !== '' || what !== '';
    return notice(
      'h2',
      t(filtered ? 'now.empty.filtered' : 'now.empty', { days: DAYS[pastDays] }),
      filtered
        ? el('a', { href: address('now') }, t('now.show_all'))
        : [
            el('p', {}, t('now.empty.next')),
            isLocal && el('p', { class: 'command' }, el('code', {}, command), copier(command)),
            el('p', { class: 'none' }, t('now.empty.off')),
          ],
      pastDays + 1 < DAYS.length &&
        el(
          'p',
          {},
          button(t('now.back'), () => {
            pastDays += 1;
            fill(content, loading());
            load();
          }),
        ),
    );
  }

  /**
   * Asks for what is new: at once what is visible by now, which is quick and may skip what becomes visible late; and every 10 s
   * what has settled by now, without details, which is sure. What only the second way shows was late, and comes by a wider look.
   */
  function grow(newest) {
    const from = newest ?? new Date(Date.now() - DAY / 24).toISOString();
    const quick = { cursor: [['from', from]] };
    const sure = { cursor: [['from', from]], at: Date.now() };
    let attempts = 0;
    const poll = async () => {
      if (document.hidden || paused) return;
      try {
        let more = true;
        while (more && !signal.aborted)
          more = await step(
            quick,
            [
              ['settle', 0],
              ['details', true],
              ['limit', 100],
            ],
            arrived,
          );
        if (Date.now() - sure.at > LATE) {
          const missed = await late(sure);
          if (missed)
            await step(
              { cursor: [['from', missed]] },
              [
                ['settle', 0],
                ['details', true],
                ['limit', 100],
              ],
              arrived,
            );
          sure.at = Date.now();
        }
        seen = new Date().toISOString();
        attempts = 0;
        banner.hidden = true;
        again(EVERY);
      } catch (failure) {
        if (signal.aborted || onFailure(failure)) return;
        attempts += 1;
        const wait = Math.min(2 ** attempts, 30);
        banner.hidden = false;
        fill(banner, say(failure.status === 0 ? 'live.offline' : 'live.down', { time: when(seen, 'time'), seconds: wait }));
        again(wait * 1_000);
      }
    };
    const again = (wait) => {
      clearTimeout(timer);
      if (!signal.aborted) timer = setTimeout(poll, wait);
    };
    const wake = () => !document.hidden && !paused && again(0);
    begin = () => {
      document.addEventListener('visibilitychange', wake, { signal });
      window.addEventListener('online', wake, { signal });
      window.addEventListener('scroll', () => atTop() && showNew(), { signal, passive: true });
      signal.addEventListener('abort', () => clearTimeout(timer));
      again(EVERY);
    };
    const told = () => fill(state, el('span', { class: 'dot', 'aria-hidden': 'true' }), t(paused ? 'live.paused' : 'live'));
    state.addEventListener('click', () => {
      paused = !paused;
      state.setAttribute('aria-pressed', String(paused));
      told();
      wake();
    });
    state.title = `${t('live.pause')} / ${t('live.resume')}`;
    told();
    begin();
  }

  /** One page from a cursor on; whether there is more. */
  async function step(place, parameters, take) {
    const page = await ask('feed', [...filters, ...place.cursor, ...parameters], signal);
    place.cursor = [['after', page.next]];
    take(page.changes);
    return page.more;
  }

  /** When the first change was recorded that the quick way has skipped; undefined where there is none. */
  async function late(sure) {
    let missed;
    const take = (changes) => {
      missed ??= changes.find((change) => !known.has(keyOf(change)))?.recorded_at;
    };
    while (
      await step(
        sure,
        [
          ['settle', 10],
          ['limit', 1_000],
        ],
        take,
      )
    );
    return missed;
  }

  function arrived(changes) {
    const news = fresh(changes);
    if (news.length === 0) return;
    if (days.node.parentNode !== content) fill(content, days.node, older);
    waiting = [...waiting, ...news].slice(-MOST);
    fill(announcement, say('live.announced', { count: news.length }));
    if (atTop()) showNew();
    else {
      fill(pill, '↑ ', t('live.new', { count: waiting.length }));
      pill.hidden = false;
    }
  }

  const atTop = () => window.scrollY < 40 && !main.querySelector('details[open]');

  function showNew() {
    if (waiting.length === 0) return;
    for (const change of waiting) days.prepend(change).classList.add('new');
    showNames(days.node);
    waiting = [];
    pill.hidden = true;
    days.keep(Math.max(MOST, 0));
    if (window.scrollY >= 40) window.scrollTo({ top: 0 });
  }

  load();
  return (next) => {
    signal = next;
    if (further) furtherBy(older, further, signal);
    begin();
  };
}
