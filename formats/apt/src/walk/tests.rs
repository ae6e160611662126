mod anchors;
mod hostile;
mod indexes;
mod packages;
mod speed;
