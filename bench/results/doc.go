// Package results has the measurements of bench as they are stored, and makes docs/performance.md and its plots from them.
//
// bench writes a Results as JSON (bench --json). The test TestPerformancePageHasTheStoredResults of package docs calls
// Page and compares; with -update it writes the page and the plots. Start reading at Results and Page.
package results
