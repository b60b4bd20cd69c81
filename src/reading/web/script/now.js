// Now: the newest changes of all groups, coming in by themselves.

import { ask } from './api.js';
import { el, fill } from './dom.js';
import { Anew, Feed } from './feed.js';
import { Days, Pages } from './list.js';
import { showNames } from './names.js';
import { DAY, address, button, choice, copier, notice, option, reason, refill } from './parts.js';
import { KINDS, platform } from './sentences.js';
import { number, say, t, when } from './texts.js';

/** How often it asks, in milliseconds. */
const EVERY = 2_000;
/** The most items of the list while it grows at the top. */
const MOST = 500;
/** How many days back it looks at first, and then. */
const PAST = [7, 35];

/** Shows the newest changes. What it returns goes on with them after the view was left. */
export function now(main, { parameters, signal: first, go }) {
  const { platform: of = '', what = '' } = parameters;
  const filters = { platform: of, kind: KINDS[what] };
  const show = (changes) => go(address('now', [], { platform: of, what, ...changes }));
  const platforms = choice('platform', [['', t('platform.all')]], of, (value) => show({ platform: value }));
  const kinds = [['', t('what.all')], ...Object.keys(KINDS).map((name) => [name, t(`what.${name}`)])];
  const state = button('', () => pause(), { class: 'live' });
  const banner = el('p', { class: 'banner', role: 'status', hidden: true });
  const announcement = el('p', { class: 'unseen-text', role: 'status', 'aria-live': 'polite' });
  const pill = button('', () => showNew(), { class: 'pill', hidden: true });
  const content = el('div', { class: 'content' });
  const bar = [el('h1', {}, t('now')), platforms, choice('what', kinds, what, (value) => show({ what: value })), state];
  refill(main, el('div', { class: 'filters' }, bar), banner, announcement, pill, content);

  let signal;
  let past = 0;
  let feed, days, pages, timer;
  let [waiting, isPaused, isAsking, attempts, lastAnswer] = [[], false, false, 0, new Date().toISOString()];

  /** Begins with the newest. */
  async function begin() {
    const from = new Date(Date.now() - PAST[past] * DAY).toISOString();
    [waiting, feed, days] = [[], new Feed(filters), new Days(true, (change) => change.recorded_at ?? change.received_at)];
    const page = async () => {
      const { changes, more } = await feed.older(from, signal);
      days.append(changes);
      showNames(days.node);
      return more;
    };
    pages = new Pages(content, days.node, { page, empty, text: t('history.older') });
    pill.hidden = true;
    const own = pages;
    if ((await pages.begin(signal)) && own === pages) again(EVERY);
  }

  function empty() {
    const isFiltered = of !== '' || what !== '';
    const isLocal = ['127.0.0.1', 'localhost', '[::1]'].includes(location.hostname);
    const command = `group-ledger send ${location.origin} --demo`;
    const further = () => {
      past += 1;
      begin();
    };
    return notice(
      'h2',
      t(isFiltered ? 'now.empty.filtered' : 'now.empty', { days: PAST[past] }),
      isFiltered && el('a', { href: address('now') }, t('now.show_all')),
      !isFiltered && el('p', {}, t('now.empty.next')),
      !isFiltered && isLocal && el('p', {}, t('now.empty.local')),
      !isFiltered && isLocal && el('p', { class: 'command' }, el('code', {}, command), copier(command)),
      !isFiltered && el('p', { class: 'none' }, t('now.empty.off')),
      past + 1 < PAST.length && el('p', {}, button(t('now.back'), further)),
    );
  }

  function again(wait) {
    clearTimeout(timer);
    if (!signal.aborted) timer = setTimeout(poll, wait);
  }

  async function poll() {
    if (isAsking || isPaused || document.hidden || !feed?.quick) return;
    isAsking = true;
    try {
      const own = feed;
      const changes = await own.news(signal);
      if (own === feed) arrived(changes);
      [attempts, lastAnswer] = [0, new Date().toISOString()];
      told();
      again(EVERY);
    } catch (failure) {
      if (failure instanceof Anew || failure.status === 400) begin();
      else if (!signal.aborted) failed(failure);
    }
    isAsking = false;
  }

  /** Says what is wrong, keeps what is there, and tries again after a while. */
  function failed(failure) {
    attempts += 1;
    const seconds = Math.min(2 ** attempts, 30);
    told();
    const what = failure.status === 503 ? t('live.down') : reason(failure);
    fill(banner, what, ' ', say('live.retry', { time: when(lastAnswer, 'time'), seconds }));
    again(seconds * 1_000);
  }

  function arrived(changes) {
    if (changes.length === 0) return;
    waiting.push(...changes);
    fill(announcement, t('live.new', { count: changes.length }));
    if (isRead()) {
      fill(pill, '↑ ', waiting.length > MOST ? t('live.many', { most: number(MOST) }) : t('live.new', { count: waiting.length }));
      pill.hidden = false;
    } else showNew();
  }

  /** Whether somebody is reading: then nothing may move. */
  const isRead = () =>
    window.scrollY >= 40 || content.matches(':focus-within') || content.querySelector('details[open]') !== null;

  function showNew() {
    if (waiting.length === 0) return;
    // What has not been shown has no place among the newest any more.
    if (waiting.length > MOST) return begin();
    const isFirst = days.node.childElementCount === 0;
    for (const change of waiting) days.prepend(change).classList.add('new');
    waiting = [];
    showNames(days.node);
    if (days.keep(MOST)) pages.turn(t('now.anew'), begin);
    if (isFirst) pages.show();
    if (document.activeElement === pill) main.focus({ preventScroll: true });
    pill.hidden = true;
    if (window.scrollY >= 40) window.scrollTo({ top: 0 });
  }

  function pause() {
    isPaused = !isPaused;
    told();
    wake();
  }

  function told() {
    banner.hidden = attempts === 0;
    const key = isPaused ? 'live.paused' : attempts > 0 ? 'live.waiting' : 'live';
    fill(state, el('span', { class: 'dot', 'aria-hidden': 'true' }), t(key));
    // What it is, and what a click does.
    state.setAttribute('aria-label', t(`${key}.label`));
    state.classList.toggle('late', attempts > 0);
    state.classList.toggle('paused', isPaused);
    state.title = t(isPaused ? 'live.resume' : 'live.pause');
  }

  const wake = () => again(0);

  async function namePlatforms() {
    const { apps } = await ask('apps', {}, signal);
    const names = [...new Set(apps.map((app) => app.platform))];
    fill(platforms, option('', t('platform.all'), of), ...names.map((name) => option(name, platform(name), of)));
  }

  function goOn(next) {
    signal = next;
    document.addEventListener('visibilitychange', wake, { signal });
    window.addEventListener('online', wake, { signal });
    window.addEventListener('scroll', () => waiting.length > 0 && !isRead() && showNew(), { signal, passive: true });
    signal.addEventListener('abort', () => clearTimeout(timer));
    if (feed?.quick) {
      pages.watch(signal);
      wake();
    } else begin();
    if (platforms.childElementCount < 2) namePlatforms().catch(() => {});
  }

  told();
  goOn(first);
  return goOn;
}
