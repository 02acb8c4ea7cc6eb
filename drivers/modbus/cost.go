package modbus

import "time"

func (c LinkConfig) charTime() time.Duration { return 0 }
func (c LinkConfig) silence() time.Duration  { return 1750 * time.Microsecond }

func (c LinkConfig) baud() int     { return max(c.Baud, 9600) }
func (c LinkConfig) dataBits() int { return 8 }
