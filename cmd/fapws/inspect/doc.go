// Package inspect is check, routes, shell and --print-config: commands that load an application, or only read the
// configuration, and serve nothing. Package command calls Run, on the main thread, which is Python's main thread from
// then on.
package inspect
