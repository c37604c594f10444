// Package must ends a test at an error, or when it waits in vain.
package must

import (
	"testing"
	"time"
)

// OK ends the test if there is an error.
func OK(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Await ends the test unless something is so within half a minute.
func Await(t testing.TB, what string, is func() bool) {
	t.Helper()
	if !Within(30*time.Second, is) {
		t.Fatal("waited in vain for ", what)
	}
}

// Within reports whether something becomes so in time.
func Within(atMost time.Duration, is func() bool) bool {
	for deadline := time.Now().Add(atMost); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}
