/* What the overview shows: values, rows, their order, and which of them match.
 *
 * What overview.json holds comes from DICOM files, so from anybody. Every value
 * is made a plain text, a number or a link that leads to a web page here, before
 * it gets near the page. Nothing here touches the page.
 */
const OverviewModel = (() => {
  'use strict';

  const DATA_FILE = 'overview.json';
  const FORMAT = 1;
  const LONGEST = 1000;
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

  // -------------------------------------------------------------- data

  class DataError extends Error {}
  // nothing is wrong with the file, so that nobody should write it anew
  class AccessError extends DataError {}

  async function load() {
    const url = new URL(DATA_FILE, location.href);
    // fetch() refuses an address with a password, as in http://user:password@host/
    url.username = '';
    url.password = '';
    let response;
    try {
      response = await fetch(url, { credentials: 'same-origin', cache: 'no-cache' });
    } catch {
      throw new AccessError(
        location.protocol === 'file:'
          ? 'This page cannot be read from a disk, only from a web server.'
          : `${DATA_FILE} could not be fetched: the server did not answer.`,
      );
    }
    if (response.status === 401 || response.status === 403) {
      throw new AccessError(
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

  // -------------------------------------------------------------- rows

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

  /** A row for each series, and one for a visit without any: it has a tarball
   *
   * They are in the order of the visits and numbers.
   */
  function readRows({ visits, columns }) {
    const names = Array.isArray(columns) ? columns : [];
    const named = (values) =>
      Array.isArray(values)
        ? Object.fromEntries(values.map((value, i) => [names[i], value]))
        : values;
    const rows = [];
    for (const item of visits) {
      const visit = readVisit(item);
      const before = rows.length;
      for (const series of item.series.map(named)) {
        if (series && typeof series === 'object') rows.push(readSeries(visit, series));
      }
      if (rows.length === before) {
        rows.push({ ...readSeries(visit, {}), series: false });
      }
    }
    return sortRows(sortRows(rows, 'number', 1), 'visit', 1);
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

  // --------------------------------------------------------- filtering

  /** The rows that match all of a filter, in their order
   *
   * Its fields are those of the form; an empty one lets everything through.
   */
  function matching(rows, { q, modality, protocol, from, to }) {
    const words = folded(text(q)).split(/\s+/).filter(Boolean);
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

  /** How many visits, series, images and bytes there are in rows */
  function totals(rows) {
    const total = { visits: 0, series: 0, images: 0, size: 0 };
    const visits = new Set();
    for (const row of rows) {
      visits.add(row.visit);
      if (row.series) total.series += 1;
      total.images += row.images ?? 0;
      total.size += row.size ?? 0;
    }
    total.visits = visits.size;
    return total;
  }

  /** The values of a column, each once, as they are to be chosen from */
  function choices(rows, column) {
    const values = new Set(rows.map((row) => row[column]));
    return [...values].filter(Boolean).sort(order.compare);
  }

  const isColumn = (name) => Object.hasOwn(TEXTUAL, name) || Object.hasOwn(NUMERIC, name);

  return {
    AccessError,
    DataError,
    choices,
    exactly,
    format: (value) => integer.format(value),
    isColumn,
    link,
    load,
    matching,
    readRows,
    size,
    sortRows,
    text,
    totals,
  };
})();
