// Package results defines the stored measurements of bench, and generates docs/performance.md and its plots.
//
// bench writes a Results as JSON (bench --json). The test TestPerformancePageHasTheStoredResults of package docs
// compares the results of Page with the stored page and plots. With -update, the test writes these files. Start reading
// at Results and Page.
package results
