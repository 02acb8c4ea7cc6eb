//go:build race

package modbus_test

// raceDetector: its run-time ends the process when a goroutine has synchronized too often, so the long tests are shorter with it.
const raceDetector = true
