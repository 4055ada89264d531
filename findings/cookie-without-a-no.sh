#!/bin/sh
# Finding: what a consent banner keeps of a refusal is that nothing is said.
#
# A site that wants proof keeps what the banner gives: its cookie. One would expect that to say of each category whether
# it was accepted or refused. vanilla-cookieconsent's names under "categories" those that were accepted, and no other. A
# log of such cookies, read by these names, has yeses only: who refused looks as if never asked, and an older yes of
# theirs stands. Which categories were offered can be told by another member, since "services" has an entry for each,
# empty where it has no service or all were refused. getUserPreferences tells the refused ones, and keeps them nowhere.
#
# Seen with vanilla-cookieconsent 3.1.0 (npm), in jsdom 26.1.0, where analytics were accepted, and ads were not:
#   {"categories":["analytics","necessary"],"services":{"necessary":[],"analytics":["ga"],"ads":[]},"rejected":["ads"]}
#
# Needs Node.js and npm, and installs both packages into a temporary folder. Ends with 1 where this has changed.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

cat >expected <<'END'
{"categories":["analytics","necessary"],"services":{"necessary":[],"analytics":["ga"],"ads":[]},"rejected":["ads"]}
END

npm init -y >log
npm install --no-audit --no-fund vanilla-cookieconsent@3.1.0 jsdom@26.1.0 >log 2>&1 || { cat log; exit 1; }
cat >main.cjs <<'END'
const { JSDOM } = require('jsdom')
const { window } = new JSDOM('<!doctype html>', { url: 'https://shop.example/', pretendToBeVisual: true })
const given = { window, ...Object.fromEntries(['document', 'navigator', 'location', 'localStorage', 'HTMLElement',
  'CustomEvent'].map(name => [name, window[name]])) }
for (const [name, value] of Object.entries(given)) Object.defineProperty(globalThis, name, { value, configurable: true })
globalThis.requestAnimationFrame = f => setTimeout(f, 0)
globalThis.dispatchEvent = event => window.dispatchEvent(event)
globalThis.addEventListener = (...args) => window.addEventListener(...args)
const banner = require('vanilla-cookieconsent')
const texts = { consentModal: { title: 'title' }, preferencesModal: { title: 'title', sections: [] } }
const categories = { necessary: { readOnly: true }, analytics: { services: { ga: { label: 'GA' } } }, ads: {} }
banner.run({ hideFromBots: false, categories, language: { default: 'en', translations: { en: texts } } }).then(() => {
  banner.acceptCategory(['analytics'])
  const { categories, services } = banner.getCookie()
  console.log(JSON.stringify({ categories, services, rejected: banner.getUserPreferences().rejectedCategories }))
  process.exit(0)
})
END
node main.cjs >out
diff expected out
echo "as it was"
