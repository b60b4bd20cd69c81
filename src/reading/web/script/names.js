// The names of groups, as far as changes in this tab have told them.

import { cut, fill, isBlank, untrusted } from './dom.js';

/** The most groups whose names are kept. */
const MOST_NAMES = 5_000;
const names = new Map();

/** Learns a group's name from a change that sets it; newer ones count. */
export function learnName({ kind, group_key: group, occurred_at: since, change }) {
  if (!kind.startsWith('group.') || typeof change?.name !== 'string' || isBlank(change.name)) return;
  if ((names.get(group)?.since ?? '') < since) {
    names.delete(group);
    names.set(group, { name: change.name, since });
    if (names.size > MOST_NAMES) names.delete(names.keys().next().value);
  }
}

/** The name of a group, where it is known. */
export function nameOf(group) {
  return names.get(group)?.name;
}

/** Puts names in place of ids, where they are known by now. */
export function showNames(list) {
  for (const link of list.querySelectorAll('a.group')) {
    const name = nameOf(link.dataset.group);
    if (name !== undefined && link.dataset.name !== name) {
      link.dataset.name = name;
      fill(link, untrusted(cut(name, 40), { class: 'group-name' }));
    }
  }
}
