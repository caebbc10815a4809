/* The overview of a study: one table of the series of all visits.
 *
 * This is the page: its state, and what happens when somebody uses it. What it
 * shows comes from OverviewModel, and the rows of the table from OverviewRows.
 */
(() => {
  'use strict';

  const { AccessError, DataError, exactly, format, link, size, text } = OverviewModel;
  const { element, makeRow } = OverviewRows;

  // rows that are added when the end of the table is near
  const CHUNK = 60;
  // no row is lower, so that the first rows fill a window and are there at once
  const ROW_HEIGHT = 36;
  const FILTERS = ['q', 'modality', 'protocol', 'from', 'to'];
  // sorted by these, the series of a visit follow each other
  const GROUPING = new Set(['visit', 'date']);

  const $ = (id) => document.getElementById(id);

  // ------------------------------------------------------------- state

  let allRows = []; // by visit and number
  let allTotals = {};
  let sortedRows = []; // all, as the table is sorted
  let shownRows = []; // those that match the filter
  let shownTotals = {};
  let rendered = 0; // so many of them are in the table
  let sort = { column: 'visit', direction: 1 };

  /* The state stands in the fragment, which is never sent to a server: what
   * somebody looks for stays out of its log. */
  function writeState() {
    const state = new URLSearchParams();
    for (const name of FILTERS) {
      if ($(name).value) state.set(name, $(name).value);
    }
    const { column, direction } = sort;
    if (column !== 'visit' || direction < 0) {
      state.set('sort', (direction < 0 ? '-' : '') + column);
    }
    const fragment = String(state) && `#${state}`;
    if (fragment === location.hash) return;
    try {
      history.replaceState(null, '', location.pathname + location.search + fragment);
    } catch {
      // browsers limit how often; the next change is written again
    }
  }

  function readState() {
    const state = new URLSearchParams(location.hash.slice(1));
    for (const name of FILTERS) {
      $(name).value = state.get(name) ?? '';
      // no such choice any more
      if ($(name).selectedIndex === -1) $(name).selectedIndex = 0;
    }
    const [, minus, column] = /^(-?)(\w+)$/.exec(state.get('sort') ?? '') ?? [];
    sort = OverviewModel.isColumn(column)
      ? { column, direction: minus ? -1 : 1 }
      : { column: 'visit', direction: 1 };
  }

  // --------------------------------------------------------- rendering

  /** Add rows at the end of the table; returns the first of them */
  function renderMore(limit = CHUNK) {
    const grouped = GROUPING.has(sort.column);
    const end = Math.min(rendered + limit, shownRows.length);
    const fragment = document.createDocumentFragment();
    for (let i = rendered; i < end; i += 1) {
      const again = grouped && i > 0 && shownRows[i - 1].visit === shownRows[i].visit;
      fragment.append(makeRow(shownRows[i], again, copyClone));
    }
    const first = fragment.firstElementChild;
    $('rows').append(fragment);
    rendered = end;
    $('more').hidden = rendered === shownRows.length;
    $('more-count').textContent =
      `${format(rendered)} of ${format(shownRows.length)} rows. `;
    return first;
  }

  function renderTotals() {
    shownTotals = OverviewModel.totals(shownRows);
    for (const [name, shown] of Object.entries(shownTotals)) {
      const show = name === 'size' ? size : format;
      const parts = [element('strong', {}, show(shown))];
      if (shownRows.length < allRows.length) parts.push(` of ${show(allTotals[name])}`);
      $(`total-${name}`).replaceChildren(...parts);
    }
    const [shown, all] = [shownTotals.size, allTotals.size];
    $('total-size').title =
      shown === all ? exactly(all) : `${exactly(shown)} of ${exactly(all)}`;
  }

  let announcing = 0;

  function announce() {
    clearTimeout(announcing);
    // a screen reader shall not read every step of typing
    announcing = setTimeout(() => {
      const [shown, all] = [shownTotals, allTotals].map(({ series }) => format(series));
      $('status').textContent = `${shown} of ${all} series shown`;
    }, 500);
  }

  function renderHead() {
    for (const button of document.querySelectorAll('[data-sort]')) {
      const th = button.closest('th');
      if (button.dataset.sort !== sort.column) th.removeAttribute('aria-sort');
      else th.setAttribute('aria-sort', sort.direction > 0 ? 'ascending' : 'descending');
      if (button.dataset.sort !== sort.column) continue;
      const descending = sort.direction < 0 ? ', descending' : '';
      const label = sort.column === 'number' ? 'series number' : button.textContent;
      $('caption').textContent = `Series by ${label.toLowerCase()}${descending}`;
    }
  }

  /** Bring the page to what the form and the sorting say */
  function update({ resort = false } = {}) {
    if (resort) {
      const { column, direction } = sort;
      sortedRows = OverviewModel.sortRows(allRows, column, direction);
      renderHead();
    }
    const filter = Object.fromEntries(FILTERS.map((name) => [name, $(name).value]));
    shownRows = OverviewModel.matching(sortedRows, filter);
    rendered = 0;
    $('rows').replaceChildren();
    renderMore(Math.ceil(innerHeight / ROW_HEIGHT));
    renderTotals();
    $('table').hidden = !shownRows.length;
    $('nothing').hidden = shownRows.length > 0;
    $('reset').disabled = FILTERS.every((name) => !$(name).value);
    writeState();
  }

  // --------------------------------------------------------- behaviour

  let toasting = 0;

  function toast(message) {
    clearTimeout(toasting);
    $('toast').textContent = message;
    toasting = setTimeout(() => $('toast').replaceChildren(), 6000);
  }

  let opener = null;

  function closeCommand() {
    $('command').hidden = true;
    opener?.focus();
    opener = null;
  }

  /** Show the command, selected, where a browser gives no access to its clipboard
   *
   * That is so for every page that comes by plain http, also in an intranet.
   */
  function showCommand(visit, button) {
    opener = button;
    $('command').hidden = false;
    $('command-text').value = visit.clone;
    $('command-label').textContent =
      `Clone command of visit ${visit.id}: copy it with Ctrl+C, or Cmd+C on a Mac`;
    $('command-text').focus();
    $('command-text').select();
  }

  async function copyClone(visit, button) {
    try {
      await navigator.clipboard.writeText(visit.clone);
    } catch {
      showCommand(visit, button);
      return;
    }
    $('command').hidden = true;
    toast(`Copied the clone command of visit ${visit.id}. Paste it into a terminal.`);
  }

  function resetFilter() {
    for (const name of FILTERS) $(name).value = '';
    update();
    announce();
    // the button that was pressed is hidden or disabled now
    $('q').focus();
  }

  function listen() {
    let waiting = 0;
    $('filter').addEventListener('input', () => {
      clearTimeout(waiting);
      // once for keys that come together: a browser sees to keys before timers
      waiting = setTimeout(() => {
        update();
        announce();
      });
    });
    $('filter').addEventListener('submit', (event) => event.preventDefault());
    $('reset').addEventListener('click', resetFilter);
    $('reset-nothing').addEventListener('click', resetFilter);
    for (const button of document.querySelectorAll('[data-sort]')) {
      button.addEventListener('click', () => {
        const column = button.dataset.sort;
        const direction = column === sort.column ? -sort.direction : 1;
        sort = { column, direction };
        update({ resort: true });
      });
    }
    $('more-button').addEventListener('click', () => {
      const first = renderMore();
      if (!first) return;
      // go on where the new rows begin, and not below them
      first.tabIndex = -1;
      first.focus();
    });
    new IntersectionObserver(
      (entries, observer) => {
        if (!entries.at(-1).isIntersecting || $('more').hidden) return;
        renderMore();
        // only a change is reported: ask again, in case it is still in sight
        observer.unobserve($('more'));
        observer.observe($('more'));
      },
      { rootMargin: '800px' },
    ).observe($('more'));
    $('command-close').addEventListener('click', closeCommand);
    $('command').addEventListener('keydown', (event) => {
      if (event.key === 'Escape') closeCommand();
    });
    // on paper nothing can be scrolled
    addEventListener('beforeprint', () => renderMore(Infinity));
    addEventListener('hashchange', () => {
      readState();
      update({ resort: true });
    });
  }

  function chooseFrom(select, values) {
    for (const value of values) {
      const label = value.length > 64 ? `${value.slice(0, 63)}…` : value;
      select.append(new Option(label, value));
    }
    // nothing to choose from
    select.closest('p').hidden = values.length === 0;
  }

  function showLink(id, href) {
    if (href) $(id).href = href;
    $(id).hidden = !href;
  }

  function showStudy({ study, facility, catalog }) {
    const [name, owner] = [text(study), text(facility?.name)];
    $('title').textContent = name ? `Study ${name}` : 'Series of all visits';
    $('facility').textContent = owner;
    $('facility').hidden = !owner;
    document.title = [$('title').textContent, owner].filter(Boolean).join(' – ');
    showLink('catalog', link(catalog));
    showLink('contact', link(facility?.contact, { schemes: ['mailto:', 'http:', 'https:'] }));
    const logo = link(facility?.logo, { local: true });
    if (logo) {
      $('logo').addEventListener('load', () => ($('logo').hidden = false));
      $('logo').src = logo;
    }
    if (/^#[0-9a-f]{6}$/i.test(facility?.color)) {
      document.documentElement.style.setProperty('--accent', facility.color);
    }
  }

  function showNotice(...paragraphs) {
    $('notice').replaceChildren(
      ...paragraphs.map((value) => element('p', {}, value)),
    );
    $('notice').hidden = false;
  }

  async function start() {
    $('skip').addEventListener('click', (event) => {
      // as a link it would overwrite the state in the fragment
      event.preventDefault();
      const target = $('content').hidden ? $('main') : $('table');
      target.scrollIntoView();
      $('main').focus({ preventScroll: true });
    });
    $('loading').hidden = false;
    let data;
    try {
      data = await OverviewModel.load();
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      const advice =
        'An administrator can write it anew with the command datalad icf-catalog.';
      showNotice(error.message, ...(error instanceof AccessError ? [] : [advice]));
      return;
    } finally {
      $('loading').hidden = true;
    }
    showStudy(data);
    if (!data.visits.length) {
      showNotice('No visit is in this catalog yet.');
      return;
    }
    allRows = OverviewModel.readRows(data);
    allTotals = OverviewModel.totals(allRows);
    $('table').classList.toggle(
      'without-thumbnails',
      allRows.every((row) => !row.thumbnail),
    );
    chooseFrom($('modality'), OverviewModel.choices(allRows, 'modality'));
    chooseFrom($('protocol'), OverviewModel.choices(allRows, 'protocol'));
    readState();
    $('content').hidden = false;
    update({ resort: true });
    listen();
  }

  start();
})();
