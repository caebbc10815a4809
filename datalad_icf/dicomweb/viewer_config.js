/* Configuration of the OHIF viewer in a store, written by datalad icf-dicomweb.
 *
 * The viewer is installed once, in viewer/ of the store, and the store can be
 * below any path of a server: what depends on it is found out here, from the
 * address of this file. The query parameter `icf` names the study of the store,
 * and so the DICOMweb root. It is one name beside viewer/, never a path or a URL:
 * a link cannot make the viewer ask anything but this store.
 */
(() => {
  'use strict';

  const home = new URL('.', document.currentScript.src);
  const names = new URLSearchParams(location.search).getAll('icf');
  const study = names.length === 1 ? names[0] : '';
  // the identifiers that the store has: one component of a path, not hidden
  const uids = [...new URLSearchParams(location.search)]
    .filter(([key]) => key.toLowerCase().includes('uid'))
    .map(([, value]) => value);
  const valid = /^[^./\\\p{Cc}\p{Cs}\p{Zl}\p{Zp}-][^/\\\p{Cc}\p{Cs}\p{Zl}\p{Zp}]*$/u;
  // OHIF makes a path of them
  if (!valid.test(study) || !uids.every((uid) => /^[0-9.,]*$/.test(uid))) {
    // a page that tells where to start from
    location.replace(home.href);
    throw new Error('no study of the store is named');
  }
  // without a user name and password that may stand in the address of the page
  const root =
    location.origin +
    new URL(`../${encodeURIComponent(study)}/dicomweb`, home).pathname;

  window.PUBLIC_URL = home.pathname;
  window.config = {
    name: 'datalad-icf',
    routerBasename: home.pathname,
    extensions: [
      {
        // Volumes need WebGL. OHIF takes several images of each position, as those of
        // functional and diffusion series, for volumes, and would show nothing.
        id: 'datalad-icf.images',
        preRegistration({ servicesManager }) {
          const sets = servicesManager.services.displaySetService;
          sets.subscribe(sets.EVENTS.DISPLAY_SETS_ADDED, ({ displaySetsAdded }) => {
            for (const set of displaySetsAdded) {
              set.isDynamicVolume = false;
            }
          });
        },
      },
    ],
    modes: [],
    customizationService: {},
    // the overview of the study is the list
    showStudyList: false,
    maxNumberOfWebWorkers: 3,
    showWarningMessageForCrossOrigin: false,
    showCPUFallbackMessage: false,
    showLoadingIndicator: true,
    strictZSpacingForVolumeViewport: true,
    // a software WebGL, as on a remote desktop, has shown signed images inverted
    useCPURendering: true,
    investigationalUseDialog: { option: 'never' },
    maxNumRequests: { interaction: 100, thumbnail: 5, prefetch: 25 },
    showErrorDetails: 'always',
    defaultDataSourceName: 'icf',
    dataSources: [
      {
        namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
        sourceName: 'icf',
        configuration: {
          friendlyName: study,
          name: 'icf',
          qidoRoot: root,
          wadoRoot: root,
          // these are files: queries are not answered, but filtered here
          staticWado: true,
          qidoSupportsIncludeField: false,
          supportsFuzzyMatching: false,
          supportsWildcard: false,
          enableStudyLazyLoad: true,
          imageRendering: 'wadors',
          thumbnailRendering: 'wadors',
          // frames come as multipart/related, the rest is bare
          singlepart: 'bulkdata,video',
          bulkDataURI: { enabled: true },
          omitQuotationForMultipartRequest: true,
        },
      },
    ],
  };
})();
