package main

import (
	"fmt"
	"os"
	"path/filepath"
)

var (
	bundleServers = []string{"threads", "bundle"}
	bundleFrozen  = []string{"threads", "bundle", "pyinstaller", "pyinstaller-dir", "nuitka", "nuitka-dir", "uvicorn"}
)

// The first start of a bundle unpacks its files. build.sh has started each bundle once, so these are later starts.
func bundleWorkloads() []workload {
	return []workload{
		{name: "bundlehello", title: "start to first answer, ASGI hello", kind: startup, early: true, asgi: true, app: "asgi",
			path: "/hello", length: 13, servers: bundleFrozen},
		{name: "bundleflask", title: "start to first answer, Flask", kind: startup, early: true, app: "flask_hello",
			path: "/hello", length: 13, servers: bundleServers},
		{name: "bundlefastapi", title: "start to first answer, FastAPI", kind: startup, early: true, asgi: true,
			app: "fastapi_json", path: "/json", length: 27, servers: bundleServers},
		{name: "bundlefile1k", title: "1 KiB file under static, 64 connections", early: true, app: "hello",
			path: "/folder/1k.bin", connections: 64, length: 1 << 10, servers: bundleServers},
		{name: "bundlefile100k", title: "100 KiB file under static, 16 connections", early: true, app: "hello",
			path: "/folder/100k.bin", connections: 16, length: 100 << 10, servers: bundleServers},
	}
}

// bundled returns the executables that build.sh has written to the directory BUNDLES.
func bundled() []*server {
	one := func(name, file string, command func(port int, w *workload) []string) *server {
		return &server{name: name, needs: []program{{file: inBundles(file)}},
			command: func(port int, w *workload, _ *settings) []string { return command(port, w) }}
	}
	frozen := func(name, file string) *server {
		return one(name, file, func(port int, _ *workload) []string { return []string{inBundles(file), fmt.Sprint(port)} })
	}
	return []*server{
		one("bundle", "asgi", func(port int, w *workload) []string {
			return []string{inBundles(w.app), "--bind", address(port), "--cache-dir", inBundles("cache")}
		}),
		frozen("pyinstaller", "onefile"),
		frozen("pyinstaller-dir", "onedir/onedir"),
		frozen("nuitka", "nuitka/onefile"),
		frozen("nuitka-dir", "nuitka/uvicorn_hello.dist/onefile.bin"),
	}
}

// inBundles returns "" without BUNDLES, so that the servers are left out.
func inBundles(name string) string {
	folder := os.Getenv("BUNDLES")
	if folder == "" {
		return ""
	}
	return filepath.Join(folder, name)
}

func bundleTargets() []target {
	bundle := []string{"bundle"}
	return []target{
		{"hello in a bundle: ms to the first answer − not bundled", "bundlehello", took, bundle, exceed, true, 8, notJudged, "%.1f"},
		{"Flask in a bundle: ms to the first answer ÷ not bundled", "bundleflask", took, bundle, over, true, 1.05, notJudged, "%.2f"},
		{"FastAPI in a bundle: ms to the first answer ÷ not bundled", "bundlefastapi", took, bundle, over, true, 1.05, notJudged,
			"%.2f"},
		{"hello in a bundle: MB − not bundled", "bundlehello", memory, bundle, exceed, true, 0.7, notJudged, "%.1f"},
		{"Flask in a bundle: MB − not bundled", "bundleflask", memory, bundle, exceed, true, 0.7, notJudged, "%.1f"},
		{"1 KiB file of a bundle: requests/s ÷ not bundled", "bundlefile1k", rate, bundle, over, false, 0.95, notJudged, "%.2f"},
		{"100 KiB file of a bundle: requests/s ÷ not bundled", "bundlefile100k", rate, bundle, over, false, 0.95, notJudged,
			"%.2f"},
	}
}
