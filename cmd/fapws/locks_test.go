package main

import (
	"go/ast"
	"go/token"
	"go/types"
	"path"
	"strings"
	"testing"
)

// TestPanicReleasesEachLock demands that Unlock is deferred if the code up to it calls a function of this project or of
// C, which may panic: the loop recovers from a panic, and the next request would wait for the lock forever. Likewise, a
// function that unlocks the lock of its caller must defer Lock.
func TestPanicReleasesEachLock(t *testing.T) {
	held := map[string]bool{
		"app.New": true, "app.Flush": true, // the loop holds Dispatcher.state except in Flush
	}
	eachPackage(t, func(p *checkedPackage) {
		for _, f := range p.files {
			for _, d := range f.Decls {
				fn, ok := d.(*ast.FuncDecl)
				if !ok || fn.Body == nil || held[path.Base(p.path)+"."+fn.Name.Name] {
					continue
				}
				l := locks{info: &p.info, paired: map[ast.Stmt]bool{}, report: func(at token.Pos, text string) {
					t.Errorf("%v %s", p.fset.Position(at), text)
				}}
				ast.Inspect(fn.Body, l.visit)
			}
		}
	})
}

type locks struct {
	info   *types.Info
	paired map[ast.Stmt]bool // calls of Unlock whose Lock was found
	report func(token.Pos, string)
}

func (l *locks) visit(n ast.Node) bool {
	var list []ast.Stmt
	switch n := n.(type) {
	case *ast.BlockStmt:
		list = n.List
	case *ast.CaseClause:
		list = n.Body
	case *ast.CommClause:
		list = n.Body
	}
	for i, s := range list {
		switch lock, method := l.call(s); {
		case strings.HasSuffix(method, "Unlock") && !l.paired[s]:
			if !l.isDeferred(list, i, lock, "Lock") {
				l.report(s.Pos(), "unlocks the lock of a caller; defer "+lock+".Lock() next")
			}
		case strings.HasSuffix(method, "Lock") && method != "TryLock" && !strings.HasSuffix(method, "Unlock"):
			if !l.isDeferred(list, i, lock, "Unlock") {
				l.section(s, list[i+1:], lock)
			}
		}
	}
	return true
}

// section checks the statements after first, which locks the mutex, up to the statement that unlocks it.
func (l *locks) section(first ast.Stmt, rest []ast.Stmt, mutex string) {
	for _, s := range rest {
		var calls ast.Expr
		ast.Inspect(s, func(n ast.Node) bool {
			if inner, ok := n.(ast.Stmt); ok {
				if lock, method := l.call(inner); lock == mutex && strings.HasSuffix(method, "Unlock") {
					l.paired[inner] = true
					return false
				}
			}
			if call, ok := n.(*ast.CallExpr); ok && l.mayPanic(call) {
				calls = call.Fun
			}
			return true
		})
		if calls != nil {
			l.report(first.Pos(), "locks "+mutex+" for a call of "+types.ExprString(calls)+"; defer "+mutex+".Unlock() next")
			return
		}
		if l.paired[s] {
			return
		}
	}
	l.report(first.Pos(), "locks "+mutex+" and returns; defer "+mutex+".Unlock() next")
}

// call returns the lock and the method if s is a call of a method of a lock.
func (l *locks) call(s ast.Stmt) (lock, method string) {
	e, ok := s.(*ast.ExprStmt)
	if !ok {
		return "", ""
	}
	call, ok := e.X.(*ast.CallExpr)
	if !ok {
		return "", ""
	}
	to, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return "", ""
	}
	if f, ok := l.info.Uses[to.Sel].(*types.Func); !ok || f.Pkg() == nil || f.Pkg().Path() != "sync" ||
		!strings.HasSuffix(to.Sel.Name, "ock") {
		return "", ""
	}
	return types.ExprString(to.X), to.Sel.Name
}

func (l *locks) isDeferred(list []ast.Stmt, i int, lock, method string) bool {
	if i+1 == len(list) {
		return false
	}
	d, ok := list[i+1].(*ast.DeferStmt)
	if !ok {
		return false
	}
	found := false
	ast.Inspect(d, func(n ast.Node) bool {
		to, ok := n.(*ast.SelectorExpr)
		found = found || ok && strings.HasSuffix(to.Sel.Name, method) && types.ExprString(to.X) == lock
		return true
	})
	return found
}

// mayPanic reports whether a call is neither a conversion nor a call of a built-in function or of the standard library.
func (l *locks) mayPanic(call *ast.CallExpr) bool {
	if t, ok := l.info.Types[call.Fun]; ok && (t.IsType() || t.IsBuiltin()) {
		return false
	}
	fun := call.Fun
	switch to := fun.(type) {
	case *ast.IndexExpr: // a generic function
		fun = to.X
	case *ast.ParenExpr:
		fun = to.X
	}
	var name *ast.Ident
	switch to := fun.(type) {
	case *ast.Ident:
		name = to
	case *ast.SelectorExpr:
		name = to.Sel
	}
	f, ok := l.info.Uses[name].(*types.Func)
	return !ok || f.Pkg() != nil && strings.Contains(f.Pkg().Path()+"/", "fapws/")
}
