package rig

import (
	"fmt"
	"sync"
)

// Wrong is told what a check finds wrong. It may be a test's Errorf.
type Wrong = func(format string, args ...any)

// Found collects what a check finds wrong.
func Found(check func(wrong Wrong)) (problems []string) {
	var mu sync.Mutex
	check(func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		problems = append(problems, fmt.Sprintf(format, args...))
	})
	return problems
}
