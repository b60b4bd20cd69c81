// The page: the header, and the views by the address's fragment.

import { onRejected, token } from './api.js';
import { el, fill } from './dom.js';
import { group } from './group.js';
import { copyWhole, help, leaveGroup, press } from './keys.js';
import { now } from './now.js';
import { address, button } from './parts.js';
import { quarantine } from './quarantine.js';
import { search } from './search.js';
import { signIn } from './sign_in.js';
import { say, startTexts, switchLanguage, t } from './texts.js';

const THEME = 'group-ledger.theme';
const VIEWS = { now, group, quarantine };

/** What is shown: the view's name, address and element, and what ends it. */
let view = { stop: new AbortController() };
/** The view Now, as it was left: who comes back finds the same place. */
let left = null;
/** How many addresses were gone to in this tab. */
let visited = 0;

/** Shows what the address names. */
function show() {
  view.stop.abort();
  if (!token.get()) return askToSignIn('');
  const { hash } = location;
  const [path, query] = hash.replace(/^#\/?/u, '').split('?');
  const [word, ...rest] = path.split('/').map(decode);
  const name = Object.hasOwn(VIEWS, word) ? word : 'now';
  const stop = new AbortController();
  if (view.name === 'now' && name !== 'now')
    left = { ...view, title: document.title, top: view.top, focus: document.activeElement };
  if (name === 'now' && left?.hash === hash) return comeBack(stop);
  // Where only parameters change, what is shown stays until the new is there.
  const isSame = view.name === name && (name !== 'group' || view.path === rest.join('/'));
  const main = isSame ? view.main : el('main', { id: 'content', class: name, tabindex: -1 });
  const isFirst = view.name === undefined;
  view = { name, path: rest.join('/'), hash, main, stop, top: 0 };
  if (!isSame) {
    put(main);
    window.scrollTo({ top: 0 });
    if (!isFirst) main.focus({ preventScroll: true });
    document.title = `${t({ now: 'now', group: 'history', quarantine: 'quarantine' }[name])} · Group Ledger`;
  }
  const parameters = Object.fromEntries(new URLSearchParams(query));
  view.resume = VIEWS[name](main, { path: view.path, parameters, signal: stop.signal, go });
}

/** Shows Now again as it was left. */
function comeBack(stop) {
  const { title, top, focus } = left;
  view = { ...left, stop };
  left = null;
  put(view.main);
  document.title = title;
  view.resume(stop.signal);
  focus?.focus({ preventScroll: true });
  // The rows have their heights only when they were laid out.
  const scroll = () => window.scrollTo({ top });
  requestAnimationFrame(() => {
    scroll();
    requestAnimationFrame(scroll);
  });
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function go(fragment) {
  location.hash = fragment;
}

/** Shows all of it anew. */
function again() {
  view.stop.abort();
  [view, left] = [{ stop: view.stop }, null];
  show();
}

function askToSignIn(message) {
  view.stop.abort();
  [view, left] = [{ stop: new AbortController() }, null];
  document.title = `${t('sign_in')} · Group Ledger`;
  const header = el(
    'header',
    { class: 'bar' },
    el('span', { class: 'brand' }, 'Group Ledger'),
    el('div', { class: 'switches' }, switches()),
  );
  const done = () => {
    show();
    view.main.focus({ preventScroll: true });
  };
  fill(document.body, header, signIn(message, done));
  document.getElementById('token').focus();
}

function put(main) {
  const skip = (event) => {
    event.preventDefault();
    main.focus();
  };
  const link = el('a', { class: 'skip', href: '#content', onclick: skip }, t('skip'));
  const announcement = el('p', { id: 'announcement', class: 'unseen-text', role: 'status' });
  fill(document.body, link, header(), main, footer(), help(), announcement);
}

function header() {
  const link = (key) => el('a', { href: address(key), 'aria-current': view.name === key && 'page' }, t(key));
  return el(
    'header',
    { class: 'bar' },
    el('a', { class: 'brand', href: address('now') }, 'Group Ledger'),
    search(view.stop.signal, go),
    el('nav', { 'aria-label': 'Group Ledger' }, link('now'), link('quarantine')),
    el('div', { class: 'switches' }, switches(), button(t('sign_out'), signOut, { class: 'quiet' })),
  );
}

/** Leaves nothing of what was shown. */
function signOut() {
  token.forget();
  history.replaceState(null, '', location.pathname);
  location.reload();
}

function switches() {
  const language = () => {
    switchLanguage();
    again();
    document.querySelector('[data-control=language]').focus();
  };
  const theme = () => {
    const { dataset } = document.documentElement;
    const isDark = dataset.theme ? dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
    dataset.theme = isDark ? 'light' : 'dark';
    sessionStorage.setItem(THEME, dataset.theme);
  };
  const other = t('language.other');
  return [
    button(other, language, {
      class: 'quiet',
      'data-control': 'language',
      title: t('language.switch'),
      lang: other === '中文' ? 'zh-CN' : 'en',
    }),
    button('◐', theme, { class: 'quiet', title: t('theme.switch'), 'aria-label': t('theme.switch') }),
  ];
}

function footer() {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const times = view.name === 'quarantine' ? t('footer.utc') : say('footer.zone', { zone });
  const keys = button(say('footer.keys', { key: el('kbd', {}, '?') }), () => document.getElementById('keys').showModal(), {
    class: 'quiet',
  });
  return el('footer', { class: 'none' }, times, ' ', keys);
}

onRejected(() => {
  token.forget();
  askToSignIn('sign_in.expired');
});
history.scrollRestoration = 'manual';
startTexts();
if (sessionStorage.getItem(THEME)) document.documentElement.dataset.theme = sessionStorage.getItem(THEME);
window.addEventListener('hashchange', () => {
  visited += 1;
  show();
});
// The place of a view is that before its address is left.
window.addEventListener('scroll', () => (view.top = window.scrollY), { passive: true });
document.addEventListener('click', (event) => {
  // A link to what is shown already shows it again.
  const link = event.target.closest('a[href^="#/"]');
  if (link && link.hash === location.hash && !event.metaKey && !event.ctrlKey) show();
});
document.addEventListener('copy', copyWhole);
document.addEventListener('keydown', (event) => press(event, () => leaveGroup(visited, go)));
show();
