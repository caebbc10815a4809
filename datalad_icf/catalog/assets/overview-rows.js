/* The rows of the overview, as elements.
 *
 * Values go into the page as text nodes and properties alone.
 */
const OverviewRows = (() => {
  'use strict';

  const { exactly, format, size } = OverviewModel;
  // shorter ones never fill the lines that the style shows
  const CLAMPED = 20;
  const template = document.getElementById('row');

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

  /** Get the part of a cell for a value, of which the style shows some lines */
  function clamped(cell, value) {
    const place = cell.firstElementChild;
    // only where it matters, as it makes layout slow
    if (value.length > CLAMPED) place.classList.add('clamp');
    if (value.length > 60) cell.title = value;
    return place;
  }

  function fillText(cell, value) {
    clamped(cell, value).textContent = value;
    if (!value) missing(cell);
  }

  /** A link with a name that is clear without the row around it */
  function named(href, label, context, properties = {}) {
    return element('a', { href, ...properties }, label, unseen(` ${context}`));
  }

  function fillVisit(cell, visit, again) {
    const name = clamped(cell, visit.id);
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
    // who clicks on a picture wants to see it large; the keyboard has "View"
    const shown = row.viewer
      ? element('a', { href: row.viewer, tabIndex: -1 }, image)
      : image;
    image.addEventListener('error', () => shown.remove());
    cell.append(shown);
  }

  function fillAccess(cell, row, again, onCopy) {
    const { visit } = row;
    if (row.viewer) {
      const context = `series ${row.number || row.description} of visit ${visit.id}`;
      const view = named(row.viewer, 'View', context);
      cell.append(element('span', { className: 'of-series' }, view));
    }
    if (again) return;
    const context = `of visit ${visit.id}`;
    const links = element('span', { className: 'of-visit' });
    if (visit.viewer) links.append(named(visit.viewer, 'View visit', visit.id));
    if (visit.tarball) {
      const title = visit.size === null ? '' : exactly(visit.size);
      const label = visit.size === null ? 'Tarball' : `Tarball, ${size(visit.size)}`;
      // a browser would otherwise show what the server does not know as text
      links.append(named(visit.tarball, label, context, { title, download: '' }));
    }
    if (visit.md5sum) {
      const properties = { title: visit.md5, download: '' };
      links.append(named(visit.md5sum, 'MD5', context, properties));
    }
    if (visit.clone) {
      const properties = { type: 'button', className: 'copy' };
      const button = element('button', properties, 'Copy clone command');
      button.append(unseen(` ${context}`));
      button.addEventListener('click', () => onCopy(visit, button));
      links.append(button);
    }
    if (links.hasChildNodes()) cell.append(links);
  }

  /** Make the row of a series
   *
   * `again` tells that the row above is of the same visit. `onCopy` is called
   * with the visit and the button with which its clone command is asked for.
   */
  function makeRow(row, again, onCopy) {
    const tr = template.content.firstElementChild.cloneNode(true);
    const [visit, date, number, thumbnail, description, protocol, modality] =
      tr.children;
    const [images, bytes, access] = [...tr.children].slice(7);
    if (again) tr.classList.add('follows');
    fillVisit(visit, row.visit, again);
    fillDate(date, row.visit, again);
    fillAccess(access, row, again, onCopy);
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
    else images.textContent = format(row.images);
    if (row.size === null) missing(bytes);
    else Object.assign(bytes, { textContent: size(row.size), title: exactly(row.size) });
    return tr;
  }

  return { element, makeRow };
})();
