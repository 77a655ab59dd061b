// Package results defines the stored measurements of bench, and generates docs/performance.md and its plots.
//
// bench writes a Results as JSON (bench --json). The test TestPerformancePageHasTheStoredResults of package docs calls
// Page and compares; with -update it writes the page and the plots. Start reading at Results and Page.
package results
