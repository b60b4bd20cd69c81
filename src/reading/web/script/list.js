// Lists of changes by day, which load further.

import { item } from './change.js';
import { el } from './dom.js';
import { local } from './texts.js';

/** The changes of a list: newest first, with a heading for each day. */
export class Days {
  /** `time` gives the time by which a change has its day. */
  constructor(inFeed, time) {
    this.inFeed = inFeed;
    this.time = time;
    this.node = el('div', { class: inFeed ? 'days feed' : 'days' });
  }

  /** Adds changes at the end: each is older than what is there. The items' nodes. */
  append(changes) {
    return changes.map((change) => {
      const node = item(change, this.inFeed);
      this.list(change, false).append(node);
      return node;
    });
  }

  /** Adds a change at the top. */
  prepend(change) {
    const node = item(change, this.inFeed);
    this.list(change, true).prepend(node);
    return node;
  }

  /** The list of a change's day, at the top or at the end. */
  list(change, first) {
    const day = local(this.time(change), 'day');
    const section = first ? this.node.firstElementChild : this.node.lastElementChild;
    if (section?.dataset.day === day) return section.lastElementChild;
    const made = el(
      'section',
      { 'data-day': day },
      el(this.inFeed ? 'h2' : 'h3', { class: 'day' }, el('time', { datetime: this.time(change).slice(0, 10) }, day)),
      el('ol', { class: 'changes' }),
    );
    if (first) this.node.prepend(made);
    else this.node.append(made);
    return made.lastElementChild;
  }

  /** Removes the oldest until there are at most so many. */
  keep(most) {
    for (let extra = this.node.querySelectorAll('li').length - most; extra > 0; extra -= 1) {
      const section = this.node.lastElementChild;
      section.lastElementChild.lastElementChild.remove();
      if (section.lastElementChild.childElementCount === 0) section.remove();
    }
  }
}

/** Calls `load` when the end of a list comes into view; a button does the same. `load` says whether there is more. */
export function furtherBy(buttonNode, load, signal) {
  let busy = false;
  const further = async () => {
    if (busy || buttonNode.hidden) return;
    busy = true;
    buttonNode.disabled = true;
    const more = await load();
    buttonNode.disabled = false;
    buttonNode.hidden = !more;
    busy = false;
    // What came may not fill the screen.
    observer.unobserve(buttonNode);
    if (more && !signal.aborted) observer.observe(buttonNode);
  };
  const observer = new IntersectionObserver(([entry]) => entry.isIntersecting && further(), { rootMargin: '600px' });
  observer.observe(buttonNode);
  buttonNode.addEventListener('click', further, { signal });
  signal.addEventListener('abort', () => observer.disconnect());
}
