/* The overview of a study: one table of the series of all visits.
 *
 * What overview.json holds comes from DICOM files, so from anybody. Values go
 * into the page as text nodes and properties alone; what becomes a link has a
 * field of its own in the file and is checked here once more.
 */
(() => {
  'use strict';

  const DATA_FILE = 'overview.json';
  const FORMAT = 1;
  // the first rows fill a screen, so that they are there at once
  const FIRST = 40;
  const CHUNK = 100;
  const FILTERS = ['q', 'modality', 'protocol', 'from', 'to'];
  // sorted by these, the series of a visit follow each other
  const GROUPING = new Set(['visit', 'date']);
  const LONGEST = 1000;

  const $ = (id) => document.getElementById(id);
  const order = new Intl.Collator('en', { numeric: true });
  const integer = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
  const threeDigits = new Intl.NumberFormat('en', {
    minimumSignificantDigits: 3,
    maximumSignificantDigits: 3,
  });

  // ------------------------------------------------------------ values

  // Control and bidirectional characters can make a text look like another one
  const UNSAFE =
    /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]+/g;

  function text(value) {
    if (typeof value === 'number') return String(value);
    if (typeof value !== 'string') return '';
    return value
      .slice(0, LONGEST)
      .replace(UNSAFE, ' ')
      .replace(/\p{Surrogate}/gu, '\ufffd')
      .trim();
  }

  function count(value) {
    return Number.isFinite(value) && value >= 0 ? value : null;
  }

  function day(value) {
    return /^\d{4}-\d\d-\d\d$/.test(value) ? value : '';
  }

  /** A link as it stands in the data, or '' where it leads to no web page */
  function link(value, { schemes = ['http:', 'https:'], local = false } = {}) {
    if (typeof value !== 'string' || !value || value.search(UNSAFE) >= 0) return '';
    try {
      const url = new URL(value, location.href);
      if (local && url.origin !== location.origin) return '';
      return schemes.includes(url.protocol) ? value : '';
    } catch {
      return '';
    }
  }

  /** In lower case and without accents, so that "schadel" finds "Schädel" */
  function folded(value) {
    const lower = value.toLowerCase();
    // most values are plain, and `normalize` is slow
    return /^[\x20-\x7e]*$/.test(lower)
      ? lower
      : lower.normalize('NFKD').replace(/\p{M}/gu, '');
  }

  function size(bytes) {
    if (bytes < 1000) return `${integer.format(bytes)} B`;
    const units = ['kB', 'MB', 'GB', 'TB', 'PB'];
    let unit = -1;
    let value = bytes;
    // 999.5 would be shown as 1,000
    while (value >= 999.5 && unit < units.length - 1) {
      value /= 1000;
      unit += 1;
    }
    return `${threeDigits.format(value)} ${units[unit]}`;
  }

  const exactly = (bytes) => `${integer.format(bytes)} bytes`;

  function sum(items, key) {
    let total = 0;
    for (const item of items) total += item[key] ?? 0;
    return total;
  }

  // -------------------------------------------------------------- data

  class DataError extends Error {}

  async function load() {
    const url = new URL(DATA_FILE, location.href);
    // fetch() refuses an address with a password, as in http://user:password@host/
    url.username = '';
    url.password = '';
    let response;
    try {
      response = await fetch(url, { credentials: 'same-origin', cache: 'no-cache' });
    } catch {
      throw new DataError(
        location.protocol === 'file:'
          ? 'This page cannot be read from a disk, only from a web server.'
          : `${DATA_FILE} could not be fetched: the server did not answer.`,
      );
    }
    if (response.status === 401 || response.status === 403) {
      throw new DataError(
        `${DATA_FILE} was refused by the server (HTTP ${response.status}). ` +
          'Reload the page and log in again.',
      );
    }
    if (!response.ok) {
      throw new DataError(
        `${DATA_FILE} is missing next to this page (HTTP ${response.status}).`,
      );
    }
    let data;
    try {
      data = await response.json();
    } catch {
      throw new DataError(`${DATA_FILE} is damaged: it is no complete JSON file.`);
    }
    if (data?.format !== FORMAT) {
      throw new DataError(
        `${DATA_FILE} is of another format than this page can read (${FORMAT}).`,
      );
    }
    const complete = (visit) => text(visit?.id) && Array.isArray(visit.series);
    if (!Array.isArray(data.visits) || !data.visits.every(complete)) {
      throw new DataError(`${DATA_FILE} is damaged: it has no proper list of visits.`);
    }
    return data;
  }

  function readVisit(visit) {
    const clone = typeof visit.clone === 'string' ? visit.clone : '';
    return {
      id: text(visit.id),
      page: link(visit.page),
      date: day(visit.date),
      size: count(visit.size),
      md5: text(visit.md5),
      tarball: link(visit.tarball),
      md5sum: link(visit.md5sum),
      viewer: link(visit.viewer),
      // a line break would run what stands before it as soon as it is pasted
      clone: clone.search(UNSAFE) < 0 ? clone : '',
    };
  }

  function readSeries(visit, series) {
    const row = {
      visit,
      series: true,
      number: text(series.number),
      description: text(series.description),
      protocol: text(series.protocol),
      modality: text(series.modality),
      images: count(series.images),
      size: count(series.size),
      thumbnail: link(series.thumbnail, { local: true }),
      viewer: link(series.viewer),
    };
    // joined by what cannot be typed: no match across two values
    row.search = folded(
      [visit.id, row.number, row.description, row.protocol].join('\n'),
    );
    return row;
  }

  /** A row for each series, and one for a visit without any: it has a tarball */
  function readRows(visits) {
    const rows = [];
    for (const item of visits) {
      const visit = readVisit(item);
      const before = rows.length;
      for (const series of item.series) {
        if (series && typeof series === 'object') rows.push(readSeries(visit, series));
      }
      if (rows.length === before) {
        rows.push({ ...readSeries(visit, {}), series: false });
      }
    }
    return rows;
  }

  // ----------------------------------------------------------- sorting

  const NUMERIC = { images: (row) => row.images, size: (row) => row.size };
  const TEXTUAL = {
    visit: (row) => row.visit.id,
    date: (row) => row.visit.date,
    number: (row) => row.number,
    description: (row) => row.description,
    protocol: (row) => row.protocol,
    modality: (row) => row.modality,
  };

  /** A number for each row by which a column sorts; NaN where a value is missing
   *
   * Texts are compared once for each distinct value, as that is slow.
   */
  function sortKeys(rows, column) {
    if (NUMERIC[column]) return rows.map((row) => NUMERIC[column](row) ?? NaN);
    const values = rows.map(TEXTUAL[column]);
    const sorted = [...new Set(values)].filter(Boolean).sort(order.compare);
    const ranks = new Map(sorted.map((value, i) => [value, i]));
    return values.map((value) => ranks.get(value) ?? NaN);
  }

  /** Rows in a new order: stable, and what is missing last in both directions */
  function sortRows(rows, column, direction) {
    const keys = sortKeys(rows, column);
    const indices = rows.map((_, i) => i);
    indices.sort((a, b) => {
      const missing = Number.isNaN(keys[a]) - Number.isNaN(keys[b]);
      return missing || direction * (keys[a] - keys[b]) || a - b;
    });
    return indices.map((i) => rows[i]);
  }

  // ------------------------------------------------------------- state

  let allRows = []; // by visit and number
  let sortedRows = []; // all, as the table is sorted
  let shownRows = []; // those that match the filter
  let rendered = 0; // so many of them are in the table
  let sort = { column: 'visit', direction: 1 };

  function matching(rows) {
    const words = folded(text($('q').value)).split(/\s+/).filter(Boolean);
    const [modality, protocol] = [$('modality').value, $('protocol').value];
    const [from, to] = [$('from').value, $('to').value];
    return rows.filter(
      (row) =>
        (!modality || row.modality === modality) &&
        (!protocol || row.protocol === protocol) &&
        // a visit of an unknown date is in no range of dates
        (!(from || to) || row.visit.date) &&
        (!from || row.visit.date >= from) &&
        (!to || row.visit.date <= to) &&
        words.every((word) => row.search.includes(word)),
    );
  }

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
    const fragment = state.size ? `#${state}` : '';
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
    const known = Object.hasOwn(TEXTUAL, column) || Object.hasOwn(NUMERIC, column);
    sort = known
      ? { column, direction: minus ? -1 : 1 }
      : { column: 'visit', direction: 1 };
  }

  // --------------------------------------------------------- rendering

  function element(name, properties = {}, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  }

  const unseen = (value) => element('span', { className: 'unseen' }, value);

  function missing(cell) {
    cell.append(
      element('span', { className: 'missing', ariaHidden: 'true' }, '–'),
      unseen('unknown'),
    );
  }

  function fillText(cell, value) {
    cell.firstElementChild.textContent = value;
    // the style shows the first lines of a long one
    if (value.length > 60) cell.title = value;
    if (!value) missing(cell);
  }

  /** A link with a name that is clear without the row around it */
  function named(href, label, context, properties = {}) {
    return element('a', { href, ...properties }, label, unseen(` ${context}`));
  }

  function fillVisit(cell, visit, again) {
    const name = cell.firstElementChild;
    if (visit.id.length > 60) cell.title = visit.id;
    if (again) name.classList.add('again');
    if (visit.page && !again) {
      name.append(element('a', { href: visit.page }, visit.id));
    } else {
      name.textContent = visit.id;
    }
  }

  function fillDate(cell, visit, again) {
    if (!visit.date) missing(cell);
    else cell.append(element('time', { dateTime: visit.date }, visit.date));
    if (again) cell.classList.add('again');
  }

  function fillThumbnail(cell, row) {
    if (!row.thumbnail) return;
    const image = element('img', {
      alt: `Preview of series ${row.number || row.description}`,
      width: 64,
      height: 64,
      loading: 'lazy',
      decoding: 'async',
      src: row.thumbnail,
    });
    image.addEventListener('error', () => image.remove());
    cell.append(image);
  }

  function fillAccess(cell, row, again) {
    const { visit } = row;
    if (row.viewer) {
      const context = `series ${row.number || row.description} of visit ${visit.id}`;
      cell.append(named(row.viewer, 'View', context));
    }
    if (again) return;
    const context = `of visit ${visit.id}`;
    if (visit.viewer) cell.append(named(visit.viewer, 'View visit', visit.id));
    if (visit.tarball) {
      const title = visit.size === null ? '' : exactly(visit.size);
      const label = visit.size === null ? 'Tarball' : `Tarball, ${size(visit.size)}`;
      // a browser would otherwise show what the server does not know as text
      cell.append(named(visit.tarball, label, context, { title, download: '' }));
    }
    if (visit.md5sum) {
      const properties = { title: visit.md5, download: '' };
      cell.append(named(visit.md5sum, 'MD5', context, properties));
    }
    if (visit.clone) {
      const properties = { type: 'button', className: 'copy' };
      const button = element('button', properties, 'Copy clone command');
      button.append(unseen(` ${context}`));
      button.addEventListener('click', () => copyClone(visit, button));
      cell.append(button);
    }
  }

  function makeRow(row, again) {
    const tr = $('row').content.firstElementChild.cloneNode(true);
    const [visit, date, number, thumbnail, description, protocol, modality] =
      tr.children;
    const [images, bytes, access] = [...tr.children].slice(7);
    if (again) tr.classList.add('follows');
    fillVisit(visit, row.visit, again);
    fillDate(date, row.visit, again);
    fillAccess(access, row, again);
    if (!row.series) {
      tr.classList.add('empty');
      description.firstElementChild.textContent = 'no DICOM series';
      return tr;
    }
    fillText(number, row.number);
    fillThumbnail(thumbnail, row);
    fillText(description, row.description);
    fillText(protocol, row.protocol);
    fillText(modality, row.modality);
    if (row.images === null) missing(images);
    else images.textContent = integer.format(row.images);
    if (row.size === null) missing(bytes);
    else Object.assign(bytes, { textContent: size(row.size), title: exactly(row.size) });
    return tr;
  }

  /** Add rows at the end of the table; returns the first of them */
  function renderMore(limit = CHUNK) {
    const grouped = GROUPING.has(sort.column);
    const end = Math.min(rendered + limit, shownRows.length);
    const fragment = document.createDocumentFragment();
    for (let i = rendered; i < end; i += 1) {
      const again = grouped && i > 0 && shownRows[i - 1].visit === shownRows[i].visit;
      fragment.append(makeRow(shownRows[i], again));
    }
    const first = fragment.firstElementChild;
    $('rows').append(fragment);
    rendered = end;
    $('more').hidden = rendered === shownRows.length;
    $('more-count').textContent =
      `${integer.format(rendered)} of ${integer.format(shownRows.length)} rows. `;
    return first;
  }

  function renderTotal(id, shown, all, format = (value) => integer.format(value)) {
    const parts = [element('strong', {}, format(shown))];
    if (shownRows.length < allRows.length) parts.push(` of ${format(all)}`);
    $(id).replaceChildren(...parts);
  }

  function renderTotals() {
    const visits = (rows) => new Set(rows.map((row) => row.visit)).size;
    const series = (rows) => rows.filter((row) => row.series).length;
    renderTotal('total-visits', visits(shownRows), visits(allRows));
    renderTotal('total-series', series(shownRows), series(allRows));
    renderTotal('total-images', sum(shownRows, 'images'), sum(allRows, 'images'));
    const [shown, all] = [sum(shownRows, 'size'), sum(allRows, 'size')];
    renderTotal('total-size', shown, all, size);
    $('total-size').title =
      shown === all ? exactly(all) : `${exactly(shown)} of ${exactly(all)}`;
  }

  let announcing = 0;

  function announce() {
    clearTimeout(announcing);
    // a screen reader shall not read every step of typing
    announcing = setTimeout(() => {
      const [shown, all] = [shownRows, allRows].map((rows) =>
        integer.format(rows.filter((row) => row.series).length),
      );
      $('status').textContent = `${shown} of ${all} series shown`;
    }, 500);
  }

  function renderHead() {
    for (const button of document.querySelectorAll('[data-sort]')) {
      const th = button.closest('th');
      if (button.dataset.sort !== sort.column) th.removeAttribute('aria-sort');
      else th.ariaSort = sort.direction > 0 ? 'ascending' : 'descending';
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
      sortedRows = sortRows(allRows, column, direction);
      renderHead();
    }
    shownRows = matching(sortedRows);
    rendered = 0;
    $('rows').replaceChildren();
    renderMore(FIRST);
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
      // once for keys that come together
      waiting = setTimeout(() => {
        update();
        announce();
      }, 10);
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
    const sorted = [...new Set(values)].filter(Boolean).sort(order.compare);
    for (const value of sorted) {
      const label = value.length > 64 ? `${value.slice(0, 63)}…` : value;
      select.append(new Option(label, value));
    }
    // nothing to choose from
    select.closest('p').hidden = sorted.length === 0;
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
      data = await load();
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      showNotice(
        error.message,
        'An administrator can write it anew with the command datalad icf-catalog.',
      );
      return;
    } finally {
      $('loading').hidden = true;
    }
    showStudy(data);
    if (!data.visits.length) {
      showNotice('No visit is in this catalog yet.');
      return;
    }
    const rows = readRows(data.visits);
    allRows = sortRows(sortRows(rows, 'number', 1), 'visit', 1);
    $('table').classList.toggle(
      'without-thumbnails',
      allRows.every((row) => !row.thumbnail),
    );
    chooseFrom($('modality'), allRows.map((row) => row.modality));
    chooseFrom($('protocol'), allRows.map((row) => row.protocol));
    readState();
    $('content').hidden = false;
    update({ resort: true });
    listen();
  }

  start();
})();
