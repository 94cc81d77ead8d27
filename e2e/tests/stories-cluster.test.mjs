// The stories of a cluster, told by the page and by the terminal.
import { tell } from "../twice_told.mjs";

tell((story) => !story.startsWith("job-"));
