// The stories of a job, told by the page and by the terminal. A file of their own, so that they run
// beside those of a cluster.
import { tell } from "../twice_told.mjs";

tell((story) => story.startsWith("job-"));
