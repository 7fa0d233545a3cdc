"""How fast Seatrial is, as ratios within one run. Nothing here is asserted: tests say what is true, these how fast."""
