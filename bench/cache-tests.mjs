// Counts the results of http-tests/cache-tests by category, as cache-tests.fyi does, and lists what failed.
// usage: node cache-tests.mjs SUITE RESULTS.json
import fs from 'node:fs'
import path from 'node:path'
import { pathToFileURL } from 'node:url'

const [, , suite, file] = process.argv
const load = name => import(pathToFileURL(path.resolve(suite, name)))
const { default: categories } = await load('tests/index.mjs')
const { determineTestResult, resultTypes } = await load('test-engine/lib/results.mjs')
const results = JSON.parse(fs.readFileSync(file))

const kinds = ['required', 'optimal', 'check']
const none = () => Object.fromEntries(kinds.map(kind => [kind, { passed: 0, all: 0 }]))
const line = (name, counts) =>
  name.padEnd(20) + kinds.map(kind => `${counts[kind].passed}/${counts[kind].all}`.padStart(10)).join('')
const total = none()
const failed = []

console.log(''.padEnd(20) + kinds.map(kind => kind.padStart(10)).join(''))
for (const category of categories) {
  const counts = none()
  for (const test of category.tests) {
    if (test.browser_only) continue
    const kind = test.kind ?? 'required'
    const result = determineTestResult(categories, test.id, results)
    const passed = result === resultTypes.pass || result === resultTypes.yes
    for (const c of [counts, total]) {
      c[kind].all++
      if (passed) c[kind].passed++
    }
    if (!passed && kind !== 'check') failed.push(`${kind} ${test.id}: ${results[test.id]?.[1] ?? 'a test that it depends on failed'}`)
  }
  console.log(line(category.id, counts))
}
console.log(line('all', total) + '\n')
for (const one of failed) console.log(one)
