// Command probe is the tests' client and server inside the cluster: `get` sends one HTTP request,
// `load` sends many from several clients, `serve` answers, exports a counter and drains when it is
// told to end, `wait` sleeps until then. Results are JSON lines on standard output.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	commands := map[string]func([]string) error{"get": get, "load": load, "serve": serve, "wait": wait}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "probe: usage: probe get|load|serve|wait [flags]")
		os.Exit(2)
	}
	if err := commands[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}

// wait keeps a pod alive, so that a test can run the other commands in it.
func wait([]string) error {
	<-told()
	return nil
}

// told gives a value when the process is asked to end.
func told() <-chan os.Signal {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	return signals
}

// report prints one result as a line of JSON.
func report(result any) error { return json.NewEncoder(os.Stdout).Encode(result) }
