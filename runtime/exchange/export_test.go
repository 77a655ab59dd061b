package exchange

// StepPanics means that a step that an exchange must not make causes a panic.
const StepPanics = raceEnabled
