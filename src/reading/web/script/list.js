// Lists: changes by day, and what loads them further.

import { item } from './change.js';
import { el, fill } from './dom.js';
import { button, failed, loading, reason } from './parts.js';
import { local } from './texts.js';

/** The usual heights of a row and of a day's heading, in pixels. */
const [ROW, HEADING] = [41, 37];

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
      const list = this.list(change, false);
      list.append(node);
      expect(list);
      return node;
    });
  }

  /** Adds a change at the top. */
  prepend(change) {
    const node = item(change, this.inFeed);
    const list = this.list(change, true);
    list.prepend(node);
    expect(list);
    return node;
  }

  /** The list of a change's day, at the top or at the end. */
  list(change, first) {
    const day = local(this.time(change), 'day');
    const section = first ? this.node.firstElementChild : this.node.lastElementChild;
    if (section?.dataset.day === day) return section.lastElementChild;
    const heading = el(
      this.inFeed ? 'h2' : 'h3',
      { class: 'day' },
      el('time', { datetime: this.time(change).slice(0, 10) }, day),
    );
    const made = el('section', { 'data-day': day }, heading, el('ol', { class: 'changes' }));
    if (first) this.node.prepend(made);
    else this.node.append(made);
    return made.lastElementChild;
  }

  /** Removes the oldest until there are at most so many; whether there were more. */
  keep(most) {
    const extra = this.node.querySelectorAll('.changes > li').length - most;
    for (let removed = 0; removed < extra; removed += 1) {
      const section = this.node.lastElementChild;
      section.lastElementChild.lastElementChild.remove();
      if (section.lastElementChild.childElementCount === 0) section.remove();
    }
    return extra > 0;
  }
}

/** Says how high a day will be, as far as that is known, so that the browser need not lay out what is out of view. */
function expect(list) {
  list.parentNode.style.containIntrinsicSize = `auto ${ROW * list.childElementCount + HEADING}px`;
}

/**
 * A list that loads by pages: its first page at once, the others when its end comes into view, or by a button. `page` gets the
 * next one, adds it to `list` and says whether there is more; `empty` is shown where there is nothing.
 */
export class Pages {
  constructor(content, list, { page, empty, text, end }) {
    this.content = content;
    this.list = list;
    this.page = page;
    this.empty = empty;
    this.end = end;
    this.message = el('p', { class: 'none', role: 'alert' });
    this.button = button(text, () => this.further(), { class: 'more' });
    const seen = (entries) => entries.at(-1).isIntersecting && this.further();
    this.observer = new IntersectionObserver(seen, { rootMargin: '600px' });
  }

  /** Loads the first page; whether that was done. */
  async begin(signal) {
    this.watch(signal);
    fill(this.content, loading());
    try {
      // A page may be empty and yet not the last.
      do this.more = await this.page();
      while (this.more && this.list.childElementCount === 0);
    } catch (failure) {
      if (!signal.aborted)
        fill(
          this.content,
          failed(failure, () => this.begin(signal)),
        );
      return false;
    }
    this.show();
    return true;
  }

  /** Shows the list, or that it is empty. */
  show() {
    if (this.list.childElementCount === 0) return fill(this.content, this.empty());
    fill(this.content, this.list, this.message, this.button, this.end);
    this.settle();
  }

  /** Goes on until `signal`; after a view was left, with another one. */
  watch(signal) {
    this.signal = signal;
    signal.addEventListener('abort', () => this.observer.disconnect());
    if (this.button.isConnected) this.settle();
  }

  /** Loads no further: the button does something else. */
  turn(text, action) {
    const other = button(text, action, { class: 'more' });
    this.button.replaceWith(other);
    [this.button, this.more] = [other, false];
    this.observer.disconnect();
  }

  settle() {
    this.button.hidden = !this.more;
    if (this.end) this.end.hidden = this.more;
    this.observer.disconnect();
    // What came may not fill the screen: the observer tells of the present too.
    if (this.more && !this.signal.aborted) this.observer.observe(this.button);
  }

  async further() {
    if (this.button.disabled || this.button.hidden) return;
    this.button.disabled = true;
    this.observer.disconnect();
    try {
      this.more = await this.page();
      fill(this.message);
      this.settle();
    } catch (failure) {
      // The button tries again, and nothing else does.
      if (!this.signal.aborted) fill(this.message, reason(failure));
    }
    this.button.disabled = false;
  }
}
